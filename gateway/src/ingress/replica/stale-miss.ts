// What this gateway does not know while it is cut off from the control plane may exist: made or deployed a moment ago. Such a request
// waits a little for the change stream, and is then told that nobody knows, and not that there is no such thing.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Call } from "../call/call.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { ChangeFeed } from "./change-feed.ts";

/** Answers that a newer state of the tables may change. By code alone, so that who exists cannot be told from what was waited for (SECURITY H6). */
const MAY_CHANGE: ReadonlySet<string> = new Set(["UNAUTHENTICATED", "NOT_FOUND"]);

const unknown = (): PlatformError =>
  new PlatformError("UNAVAILABLE", "This gateway has lost its control plane and cannot tell whether there is such a function or token.", {
    hint: "Functions and tokens that it knows go on; try again in a few seconds.",
  });

/**
 * `refused` is what the tables say now, `judge` asks them again. The answer is what to tell the caller; undefined: `judge` let it in, or the
 * call ended while it waited.
 */
export type SecondLook = (call: Call, refused: PlatformError, judge: () => PlatformError | undefined) => Promise<PlatformError | undefined>;

export function createSecondLook(feed: Pick<ChangeFeed, "connected" | "reach">): SecondLook {
  let waiting = 0;
  const isFinal = (refused: PlatformError): boolean => feed.connected || !MAY_CHANGE.has(refused.code);

  return async (call, refused, judge) => {
    if (isFinal(refused)) return refused;
    if (waiting >= GATEWAY_LIMITS.staleMisses) return unknown();
    waiting += 1;
    await feed.reach(GATEWAY_LIMITS.staleMissMs);
    waiting -= 1;
    if (call.phase === "over") return undefined;
    const again = judge();
    return again === undefined || isFinal(again) ? again : unknown();
  };
}
