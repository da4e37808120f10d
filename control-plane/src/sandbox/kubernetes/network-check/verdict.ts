// What is held to be true of the network, and when it is looked at again. Fails closed: without a proof nothing of a tenant's starts.
import type { Condition } from "../../../contract/conditions.ts";
import { PlatformError } from "../../../contract/errors.ts";

/** When it is looked at again. */
export const AGAIN_MS = { True: 60 * 60_000, False: 30_000, Unknown: 5_000 } as const;
/** A look that proves nothing, because a part is just being replaced, is taken again before anybody is refused for it. */
export const TRIES = { count: 3, pauseMs: 1_000 } as const;
/** What was verified so long ago holds while later looks prove nothing; a hole that one of them sees ends it at once. */
export const HOLDS_MS = 2 * AGAIN_MS.True;

export function createVerdict(look: () => Promise<Condition>, onError: (error: unknown) => void) {
  let current: Condition = {
    type: "NetworkIsolationVerified",
    status: "Unknown",
    at: new Date().toISOString(),
    message: "Not checked yet.",
    probes: [],
  };
  let running: Promise<Condition> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  async function lookOnce(): Promise<Condition> {
    try {
      return await look();
    } catch (error) {
      onError(error);
      const why = error instanceof Error ? error.message : String(error);
      return { ...current, status: "Unknown", at: new Date().toISOString(), message: `The check could not be made: ${why}`, probes: [] };
    }
  }
  async function run(): Promise<Condition> {
    clearTimeout(timer);
    let seen = await lookOnce();
    for (let tried = 1; seen.status === "Unknown" && tried < TRIES.count && !closed; tried++) {
      await new Promise((resolve) => setTimeout(resolve, TRIES.pauseMs));
      seen = await lookOnce();
    }
    const holds = current.status === "True" && Date.now() - Date.parse(current.at) < HOLDS_MS;
    if (seen.status !== "Unknown" || !holds) current = seen;
    if (!closed) timer = setTimeout(() => void begin(), AGAIN_MS[seen.status]).unref();
    return seen;
  }
  const begin = (): Promise<Condition> => {
    running ??= run().finally(() => (running = undefined));
    return running;
  };

  return {
    /** Checks now; a check that runs already is joined. Resolves with what was seen, even where an older proof still holds. */
    run: begin,
    current: (): Condition => current,
    /** Resolves when tenants' pods may be started; waits for the check that runs, and refuses when it proved nothing. */
    async require(): Promise<void> {
      if (current.status === "Unknown") await (running ?? begin());
      if (current.status === "True") return;
      throw new PlatformError(
        "ISOLATION_UNAVAILABLE",
        `It is not verified that the cluster's network keeps tenants apart: ${current.message}`,
        { hint: "An operator finds out more with: fnctl doctor cluster" },
      );
    },
    close(): void {
      closed = true;
      clearTimeout(timer);
    },
  };
}
