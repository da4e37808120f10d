// Which work starts next: only a few at once, tenants in turn, urgent work first.
import { expect, test } from "vitest";
import { createFairQueue, type FairQueueOptions } from "./fair-queue.ts";

const settled = () => new Promise((resolve) => setImmediate(resolve));
function queue(options: FairQueueOptions) {
  const own = createFairQueue(options);
  const running: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    own,
    running,
    async ask(owner: string, name: string, urgent = true): Promise<void> {
      void own.run({ owner, urgent }, async () => {
        running.push(name);
        await new Promise<void>((resolve) => ends.set(name, resolve));
        running.splice(running.indexOf(name), 1);
      });
      await settled();
    },
    async end(name: string): Promise<void> {
      ends.get(name)?.();
      await settled();
    },
  };
}

test("so many run at once, and fewer of one tenant", async () => {
  const { ask, running, own } = queue({ parallel: 3, perOwner: 2 });
  for (const name of ["a1", "a2", "a3", "a4"]) await ask("a", name);
  expect(running).toEqual(["a1", "a2"]);
  await ask("b", "b1");
  expect(running).toEqual(["a1", "a2", "b1"]); // b1 starts at once, however much of `a` waits
  await ask("c", "c1");
  expect(own.waiting()).toBe(3);
});

test("the next is of who has fewest running, then of who was served longest ago, then in order", async () => {
  const { ask, running, end } = queue({ parallel: 2, perOwner: 2 });
  for (const name of ["a1", "a2", "a3", "a4"]) await ask("a", name);
  for (const name of ["b1", "b2"]) await ask("b", name);
  await end("a1");
  expect(running).toEqual(["a2", "b1"]);
  await end("a2");
  expect(running).toEqual(["b1", "a3"]);
  await end("b1");
  expect(running).toEqual(["a3", "b2"]);
  await end("a3");
  expect(running).toEqual(["b2", "a4"]);
});

test("what somebody waits for comes before what is kept ready", async () => {
  const { ask, running, end } = queue({ parallel: 1, perOwner: 1 });
  await ask("a", "first");
  await ask("", "pool", false);
  await ask("a", "urgent");
  await end("first");
  expect(running).toEqual(["urgent"]);
  await end("urgent");
  expect(running).toEqual(["pool"]);
});

test("one that fails gives its place to the next", async () => {
  const { own, ask, running } = queue({ parallel: 1, perOwner: 1 });
  const failing = own.run({ owner: "a", urgent: true }, () => Promise.reject(new Error("no"))).catch(String);
  await ask("b", "b1");
  expect(await failing).toBe("Error: no");
  expect(running).toEqual(["b1"]);
});

test("so many of one owner wait, and one more is refused; others wait all the same", async () => {
  const { own, ask } = queue({ parallel: 1, perOwner: 1, mostWaiting: 2 });
  for (const name of ["a1", "a2", "a3"]) await ask("a", name);
  await expect(own.run({ owner: "a", urgent: true }, async () => undefined)).rejects.toMatchObject({ code: "RATE_LIMITED" });
  await ask("b", "b1");
  expect(own.waiting()).toBe(3);
});
