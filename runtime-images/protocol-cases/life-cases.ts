// An instance's life from idle to its end, in any language.
import { describe, expect, test } from "vitest";
import type { Subject } from "./cases.ts";
import { call, eventually, init, records, untilIdle } from "./client.ts";
import type { Sandbox } from "./runsc.ts";

export function lifeCases(name: string, subject: Subject): void {
  const fresh = async (body: (sandbox: Sandbox) => Promise<void>): Promise<void> => {
    const sandbox = await subject.start();
    try {
      await untilIdle(sandbox);
      await body(sandbox);
    } finally {
      await sandbox.stop();
    }
  };
  const state = async (sandbox: Sandbox): Promise<unknown> => JSON.parse((await call(sandbox.socket, "/.fnctl/v1/health")).text);

  describe(`${name}: life`, () => {
    test("idle, ready; init happens once; nothing is served before it", () =>
      fresh(async (sandbox) => {
        expect(await state(sandbox)).toEqual({ state: "idle", runtime: subject.runtime, protocol: 1 });
        expect((await call(sandbox.socket, "/")).status).toBe(503);
        expect((await call(sandbox.socket, "/.fnctl/v1/other")).status).toBe(404);
        expect((await init(sandbox, subject.functions.web)).status).toBe(200);
        expect(await state(sandbox)).toMatchObject({ state: "ready" });
        expect((await init(sandbox, subject.functions.web)).status).toBe(409);
      }));
    test("after SIGTERM the running request ends, then the process", () =>
      fresh(async (sandbox) => {
        await init(sandbox, subject.functions.web);
        const running = call(sandbox.socket, "/wait");
        setTimeout(() => void sandbox.signal("TERM"), 100);
        expect((await running).text).toBe("waited");
        await sandbox.exited;
      }));
    test("after SIGTERM an idle process ends at once", () =>
      fresh(async (sandbox) => {
        await sandbox.signal("TERM");
        expect(await sandbox.exited).toBe(0);
      }));
    test("after SIGTERM a process that loads for ever ends at once", () =>
      fresh(async (sandbox) => {
        init(sandbox, subject.functions.stuck).catch(() => undefined);
        await eventually(() => records(sandbox).find((line) => line.m === "loading"), "the import");
        await sandbox.signal("TERM");
        expect(await sandbox.exited).toBe(0);
      }));
    for (const [title, fn] of Object.entries(subject.functions.broken)) {
      test(`init with ${title} is a 422 with the owner's own stack`, () =>
        fresh(async (sandbox) => {
          const reply = await init(sandbox, fn);
          expect(reply.status).toBe(422);
          const failure = JSON.parse(reply.text);
          expect(failure.message).toMatch(fn.message);
          expect(failure.stack).toMatch(fn.stack);
          expect(failure.stack).not.toMatch(/\/opt\/fnctl|node:internal|frozen importlib/);
          expect(await state(sandbox)).toMatchObject({ state: "failed" });
        }));
    }
  });
}
