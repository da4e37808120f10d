// While this gateway is cut off from the control plane, a function or token that it does not know may exist, if it was made a moment ago.
// Such a request waits a little for the change stream, and then gets the answer that this cannot be known now, instead of "not found".
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Call } from "../call/call.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { ChangeFeed } from "../../replica/change-feed.ts";

/**
 * Refusals that a newer state of the tables may change. Only the code decides, so that the wait does not show which names exist (SECURITY
 * H6).
 */
const MAY_CHANGE: ReadonlySet<string> = new Set(["UNAUTHENTICATED", "NOT_FOUND"]);

const unknown = (): PlatformError =>
  new PlatformError("UNAVAILABLE", "This gateway has lost its control plane and cannot tell whether there is such a function or token.", {
    hint: "Functions and tokens that it knows go on; try again in a few seconds.",
  });

/**
 * `refused` is the refusal by the current tables; `judge` checks again. Resolves with the error for the caller, or with undefined when
 * `judge` let the call in or the call ended while it waited.
 */
export type SecondLook = (call: Call, refused: PlatformError, judge: () => PlatformError | undefined) => Promise<PlatformError | undefined>;

export function createSecondLook(feed: Pick<ChangeFeed, "connected" | "reach">): SecondLook {
  let waiting = 0;
  const isFinal = (refused: PlatformError): boolean => feed.connected || !MAY_CHANGE.has(refused.code);

  return async (call, refused, judge) => {
    if (isFinal(refused)) return refused;
    if (waiting >= GATEWAY_LIMITS.staleMisses) return unknown();
    waiting += 1;
    await feed.reach(GATEWAY_LIMITS.staleMissMs).finally(() => (waiting -= 1));
    if (call.phase === "over") return undefined;
    const again = judge();
    return again === undefined || isFinal(again) ? again : unknown();
  };
}
