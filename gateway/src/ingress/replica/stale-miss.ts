// What this gateway does not know while it is cut off from the control plane may exist: made or deployed a moment ago. Such a request
// waits a little for the change stream, and is then told that nobody knows, and not that there is no such thing.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { ChangeFeed } from "./change-feed.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { RequestContext } from "../http/request-context.ts";

export interface StaleMissDeps {
  feed: Pick<ChangeFeed, "connected" | "reach">;
  refuse: (context: RequestContext, error: unknown) => void;
  clientGone: (context: RequestContext) => void;
}

/** Answers that a newer state of the tables may change. By code alone, so that who exists cannot be told from what was waited for (SECURITY H6). */
const MAY_CHANGE: ReadonlySet<string> = new Set(["UNAUTHENTICATED", "NOT_FOUND"]);

const unknown = (): PlatformError =>
  new PlatformError("UNAVAILABLE", "This gateway has lost its control plane and cannot tell whether there is such a function or token.", {
    hint: "Functions and tokens that it knows go on; try again in a few seconds.",
  });

/** `judge` says why the request is refused, by the tables as they are now, or undefined after it has taken it on. */
export function createStaleMiss({ feed, refuse, clientGone }: StaleMissDeps) {
  let waiting = 0;

  async function wait(context: RequestContext, judge: () => PlatformError | undefined): Promise<void> {
    const gone = () => clientGone(context);
    context.response.once("close", gone);
    waiting += 1;
    await feed.reach(GATEWAY_LIMITS.staleMissMs);
    waiting -= 1;
    context.response.off("close", gone);
    if (context.finished) return;
    try {
      const refused = judge();
      if (refused !== undefined) refuse(context, feed.connected || !MAY_CHANGE.has(refused.code) ? refused : unknown());
    } catch (error) {
      refuse(context, error); // nobody else would catch it any more
    }
  }

  return (context: RequestContext, judge: () => PlatformError | undefined): void => {
    const refused = judge();
    if (refused === undefined) return;
    if (feed.connected || !MAY_CHANGE.has(refused.code)) return refuse(context, refused);
    if (waiting >= GATEWAY_LIMITS.staleMisses) return refuse(context, unknown());
    void wait(context, judge);
  };
}
