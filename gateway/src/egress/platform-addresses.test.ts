import { afterEach, expect, test, vi } from "vitest";
import { EGRESS_LIMITS } from "./limits.ts";
import { watchPlatform, type PlatformAddresses } from "./platform-addresses.ts";

let watched: PlatformAddresses;
afterEach(() => {
  watched.stop();
  vi.useRealTimers();
});

test("as long as one was never found, they are not known", async () => {
  vi.useFakeTimers();
  let there = false;
  const warn = vi.fn<(message: string, facts: object) => void>();
  async function look(host: string): Promise<string[]> {
    if (host === "b" && !there) throw new Error("no such name");
    return ["10.96.0.7"];
  }
  watched = await watchPlatform({ hosts: ["a", "b"], warn, look });
  expect(watched.isKnown).toBe(false);
  expect(warn.mock.calls).toEqual([[expect.stringContaining("nothing private is open"), { host: "b" }]]);
  there = true;
  await vi.advanceTimersByTimeAsync(EGRESS_LIMITS.ownAddressesMs);
  expect(watched.isKnown).toBe(true);
  watched.stop();
  watched = await watchPlatform({ hosts: [], warn, look });
  expect(watched.isKnown).toBe(true);
});

test("names are looked up again, and what was found stays while they cannot be", async () => {
  vi.useFakeTimers();
  let answer: string[] | Error = ["10.96.0.7", "fd00::7"];
  async function look(): Promise<string[]> {
    if (answer instanceof Error) throw answer;
    return answer;
  }
  watched = await watchPlatform({ hosts: ["control-plane", "10.96.0.1"], warn: () => undefined, look });
  const known = () => ["10.96.0.7", "fd00::7", "10.96.0.1", "10.96.0.8"].map(watched.has);
  expect(known()).toEqual([true, true, true, false]);
  answer = new Error("no name server");
  await vi.advanceTimersByTimeAsync(EGRESS_LIMITS.ownAddressesMs);
  expect(known()).toEqual([true, true, true, false]);
  answer = ["10.96.0.8"];
  await vi.advanceTimersByTimeAsync(EGRESS_LIMITS.ownAddressesMs);
  expect(known()).toEqual([false, false, true, true]);
});
