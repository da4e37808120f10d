// Keeps the verdict of one check of the place where sandboxes run, and repeats the check. Fails closed: without a proof no tenant's pod
// starts.
import type { Condition } from "../../contract/conditions.ts";
import { PlatformError } from "../../contract/errors.ts";
import type { Isolation } from "../../contract/names.ts";

/**
 * Time until the next look, by the last result. After a look that proves nothing the pause doubles each time, up to a maximum, because each
 * look starts pods.
 */
export const AGAIN_MS = { True: 60 * 60_000, False: 30_000, Unknown: 5_000, UnknownMost: 60_000 } as const;
/** A look that proves nothing, for instance while a component is being replaced, is repeated before a start is refused for it. */
export const TRIES = { count: 3, pauseMs: 1_000 } as const;
/** A proof holds for this long while later looks prove nothing; a look that finds a hole ends it at once. */
export const HOLDS_MS = 2 * AGAIN_MS.True;

/** The longest time for a look, which usually takes five seconds with the probes' starts. A look that hangs proves nothing. */
export const LOOK_MS = 90_000;
const failAfter = (ms: number, signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it took longer than ${ms} ms`)), ms);
    signal.addEventListener("abort", () => clearTimeout(timer));
  });

/** Clocks of two nodes may differ by this. */
const SKEW_MS = 60_000;

export interface Memory {
  /** The result that an earlier owner kept: its proof also holds for a new owner. */
  before?: Condition | undefined;
  /** Called with each result that is a proof or a hole, to store it. */
  keep(condition: Condition): void;
}
export interface VerdictOptions extends Memory {
  type: Condition["type"];
  /** The class of sandboxes that is checked. */
  isolation: Isolation;
  /** The statement to be verified, as a sentence without its full stop. */
  claim: string;
  look(): Promise<Condition>;
  onError(error: unknown): void;
}

const holds = ({ status, at }: Condition): boolean => {
  const age = Date.now() - Date.parse(at);
  return status === "True" && age < HOLDS_MS && age > -SKEW_MS;
};

export function createVerdict({ type, isolation, claim, look, before, keep, onError }: VerdictOptions) {
  let current: Condition = {
    type,
    isolation,
    status: "Unknown",
    at: new Date().toISOString(),
    message: "Not checked yet.",
    probes: [],
  };
  if (before !== undefined && holds(before)) current = before;
  let running: Promise<Condition> | undefined;
  /** When the last look ended, and how many looks have ended. */
  let endedAt = 0;
  let ended = 0;
  let pauseMs: number = AGAIN_MS.Unknown;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  async function lookOnce(): Promise<Condition> {
    const late = new AbortController();
    try {
      return await Promise.race([look(), failAfter(LOOK_MS, late.signal)]);
    } catch (error) {
      onError(error);
      const why = error instanceof Error ? error.message : String(error);
      const nothing = { status: "Unknown" as const, at: new Date().toISOString(), probes: [] };
      return { type, isolation, ...nothing, message: `The check could not be made: ${why}` };
    } finally {
      late.abort();
    }
  }
  async function run(): Promise<Condition> {
    clearTimeout(timer);
    let seen = await lookOnce();
    for (let tried = 1; seen.status === "Unknown" && tried < TRIES.count && !closed; tried++) {
      await new Promise((resolve) => setTimeout(resolve, TRIES.pauseMs));
      seen = await lookOnce();
    }
    if (seen.status !== "Unknown" || !holds(current)) current = seen;
    if (seen.status !== "Unknown") keep(seen);
    const nextMs = seen.status === "Unknown" ? pauseMs : AGAIN_MS[seen.status];
    pauseMs = seen.status === "Unknown" ? Math.min(2 * pauseMs, AGAIN_MS.UnknownMost) : AGAIN_MS.Unknown;
    [endedAt, ended] = [Date.now(), ended + 1];
    if (!closed) timer = setTimeout(() => void begin(), nextMs).unref();
    return seen;
  }
  const begin = (): Promise<Condition> => {
    running ??= run().finally(() => (running = undefined));
    return running;
  };

  /** Whether there is neither a proof nor a hole; a proof that was not renewed for too long is none. */
  const isOpen = (): boolean => current.status !== "False" && !holds(current);
  /** Time until a look may begin for a caller: however many callers there are, looks that prove nothing keep this distance. */
  const restMs = (): number => endedAt + AGAIN_MS.Unknown - Date.now();

  async function lookFor(): Promise<void> {
    const joined = running;
    if (joined === undefined) {
      if (restMs() <= 0) await begin();
      return;
    }
    await joined;
    if (!isOpen()) return;
    // The joined look may have seen a state from before this call; a caller is refused only for a look that began after its call.
    const count = ended;
    await new Promise((resolve) => setTimeout(resolve, restMs()));
    if (ended === count) await begin();
  }

  return {
    /** Checks now; joins a check that runs already. Resolves with the new result, even if an older proof still holds. */
    run: begin,
    current: (): Condition => current,
    /**
     * Resolves when tenants' pods may be started. While nothing is proved, it looks at once without waiting for the next repeat, or waits
     * for the running look and one more. It refuses when these prove nothing, and at once when the last look has only just ended.
     */
    async require(): Promise<void> {
      if (isOpen()) await lookFor();
      if (holds(current)) return;
      throw new PlatformError("ISOLATION_UNAVAILABLE", `It is not verified that ${claim}: ${current.message}`, {
        hint: "An operator finds out more with: fnctl doctor cluster",
      });
    },
    close(): void {
      closed = true;
      clearTimeout(timer);
    },
  };
}
export type Verdict = ReturnType<typeof createVerdict>;
