// A slot belongs to a handler: it is taken until the handler has ended, and what one handler breaks costs no other one.
import { describe, expect, test } from "vitest";
import { call } from "./api.ts";
import { deployFixture } from "./fixture.ts";
import { killAndWait } from "./processes.ts";
import { connect, requestHead } from "./raw.ts";
import { until } from "./until.ts";

interface Counts {
  /** Handlers at a time. */
  most: number;
  ended: number;
}
const counts = async (name: string): Promise<Counts> => (await (await call(name, "/counts")).json()) as Counts;

describe.each([
  ["Node", "deaf-node", "deaf.js"],
  ["Python", "deaf-python", "deaf.py"],
])("%s", (_language, name, file) => {
  test("with concurrency 1 never two handlers run, although clients leave", async () => {
    await deployFixture(name, file, { max: 1, concurrency: 1, timeoutMs: 10_000 });
    await counts(name); // an instance runs
    for (let i = 0; i < 3; i += 1) {
      const socket = connect();
      socket.write(requestHead("GET", name, "/slow"));
      await new Promise((resolve) => setTimeout(resolve, 150));
      socket.destroy();
      expect(await (await call(name, "/slow")).text()).toBe("done");
    }
    expect((await counts(name)).ended).toBe(6);
    expect((await counts(name)).most).toBe(1);
  });

  test("answers that break and handlers that raise after their answer cost no request beside them, and no instance", async () => {
    await deployFixture(name, file, { max: 1, concurrency: 60, timeoutMs: 10_000 });
    const beside = Array.from({ length: 20 }, () => call(name, "/slow").then((answer) => answer.text()));
    const after = Array.from({ length: 20 }, () => call(name, "/after").then((answer) => answer.text()));
    const broken = Array.from(
      { length: 5 },
      (_, i) =>
      call(name, i % 2 === 0 ? "/midway" : "/breaks").then((answer) => answer.text().catch(() => "cut"), () => "cut"), // oxfmt-ignore
    );
    expect(await Promise.all(after)).toEqual(after.map(() => "whole"));
    for (const text of await Promise.all(broken)) expect(text).toMatch(/cut|FUNCTION_BAD_RESPONSE/);
    expect(await Promise.all(beside)).toEqual(beside.map(() => "done"));
    expect((await counts(name)).ended).toBe(45); // of one and the same instance
  });
});

test("a gateway that is killed while it holds the only instance: the next one has it when its handler has ended, and not before", async () => {
  await deployFixture("deaf-held", "deaf.js", { max: 1, concurrency: 1, timeoutMs: 10_000 });
  await counts("deaf-held");
  const cut = call("deaf-held", "/slow").then(() => "answered", () => "cut"); // oxfmt-ignore
  await new Promise((resolve) => setTimeout(resolve, 150));
  await killAndWait("gateway");
  expect(await cut).toBe("cut");
  const begun = Date.now();
  const back = () => counts("deaf-held").catch(() => undefined);
  const { most, ended } = (await until(back, (seen) => seen?.ended !== undefined, 15_000))!;
  // The same instance; a lease and its grace are 20 s.
  expect([most, ended, Date.now() - begun < 15_000]).toEqual([1, 1, true]);
});
