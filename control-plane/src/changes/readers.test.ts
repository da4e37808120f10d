// Answers wait for the gateways that read the change stream, and never for one that is stuck or gone.
import { describe, expect, test } from "vitest";
import { createReaders } from "./readers.ts";

const LONG_MS = 60_000;
/** "waits" while the promise is open after every turn that could settle it. */
async function stateOf(promise: Promise<unknown>): Promise<"done" | "waits"> {
  let state: "done" | "waits" = "waits";
  void promise.then(() => (state = "done"));
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  return state;
}

describe("waiting for gateways", () => {
  test("takes until the last of them has applied the change", async () => {
    const readers = createReaders(LONG_MS);
    readers.joined("a");
    readers.joined("b");
    const waiting = readers.caughtUp(7);
    readers.applied("a", 9);
    readers.applied("b", 6);
    expect(await stateOf(waiting)).toBe("waits");
    readers.applied("b", 7);
    expect(await stateOf(waiting)).toBe("done");
  });

  test("ends when the one that was missing stops reading", async () => {
    const readers = createReaders(LONG_MS);
    const left = readers.joined("a");
    const waiting = readers.caughtUp(1);
    expect(await stateOf(waiting)).toBe("waits");
    left();
    expect(await stateOf(waiting)).toBe("done");
  });

  test("knows a gateway that came back before its old stream was seen to end", async () => {
    const readers = createReaders(LONG_MS);
    const oldEnds = readers.joined("a");
    readers.joined("a");
    oldEnds();
    expect(await stateOf(readers.caughtUp(1))).toBe("waits");
  });

  test("is paid once for a gateway that is stuck, until it reports again", async () => {
    const readers = createReaders(20);
    readers.joined("stuck");
    expect(await readers.caughtUp(1)).toEqual(["stuck"]); // its time runs out here
    expect(await stateOf(readers.caughtUp(2))).toBe("done");
    readers.applied("stuck", 2);
    expect(await stateOf(readers.caughtUp(3))).toBe("waits");
  });

  test("knows whether all of an audience serve a change: not when nobody is there, not while one is late", async () => {
    const readers = createReaders(20);
    const gone = readers.joined("a gateway");
    readers.applied("a gateway", 7);
    expect(readers.allServe("egress", 7)).toBe(false);
    gone();
    readers.joined("a proxy", "egress");
    readers.joined("another", "egress");
    readers.applied("a proxy", 7);
    expect(await readers.caughtUp(7)).toEqual(["another"]);
    expect(readers.allServe("egress", 7)).toBe(false); // it is late, and nobody waits for it any more
    readers.applied("another", 7);
    expect(readers.allServe("egress", 7)).toBe(true);
    expect(readers.allServe("egress", 8)).toBe(false);
  });

  test("is over at once without gateways; a report of an unknown one counts for nothing", async () => {
    const readers = createReaders(LONG_MS);
    readers.applied("nobody", 3);
    expect(await stateOf(readers.caughtUp(5))).toBe("done");
  });
});
