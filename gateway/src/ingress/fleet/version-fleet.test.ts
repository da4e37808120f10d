import { expect, test } from "vitest";
import { VersionFleet, type Waiter } from "./version-fleet.ts";

const QUEUE = { depth: 10, ms: 30, startMs: 120 };

/** Milliseconds after which a request is refused that waits while a first instance is asked for. */
async function refusedAfter(starterIsThere: () => boolean, leasing: number): Promise<number> {
  const fleet = new VersionFleet("f", "v", { max: 1, concurrency: 1, idleTimeoutMs: 1_000 }, QUEUE, starterIsThere);
  fleet.leasing = leasing;
  const since = performance.now();
  return new Promise((resolve) => {
    const refused = () => resolve(performance.now() - since);
    const waiter: Waiter = { granted: () => undefined, refused, moveOn: () => undefined, queueTimer: undefined, since };
    fleet.enqueue(waiter);
  });
}

test("a request waits beyond the queue's time while a first instance starts, and only then", async () => {
  expect(await refusedAfter(() => true, 1)).toBeGreaterThanOrEqual(QUEUE.startMs - 2);
  expect(await refusedAfter(() => true, 0)).toBeLessThan(QUEUE.startMs - 2);
  expect(await refusedAfter(() => false, 1)).toBeLessThan(QUEUE.startMs - 2);
});
