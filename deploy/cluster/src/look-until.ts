// Looks until what is wanted is seen, or what will not do.
import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 1_000;

export interface Check {
  want: string;
  look(): Promise<string>;
  /** What is seen will not do, and is not looked at again. */
  isFinal?(seen: string): boolean;
}

/** Resolves with what was seen last, after at most so many looks. */
export async function lookUntil({ want, look, isFinal }: Check, tries: number, pauseMs = PAUSE_MS): Promise<string> {
  for (let tried = 1; ; tried++) {
    const seen = await look();
    if (seen === want || isFinal?.(seen) === true || tried >= tries) return seen;
    await sleep(pauseMs);
  }
}
