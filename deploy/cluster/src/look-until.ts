// Repeats a check until it shows the wanted result or a final one.
import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 1_000;

export interface Check {
  want: string;
  look(): Promise<string>;
  /** True for a result that ends the check at once. */
  isFinal?(seen: string): boolean;
}

/** Resolves with the last result, after at most `tries` looks. */
export async function lookUntil({ want, look, isFinal }: Check, tries: number, pauseMs = PAUSE_MS): Promise<string> {
  for (let tried = 1; ; tried++) {
    const seen = await look();
    if (seen === want || isFinal?.(seen) === true || tried >= tries) return seen;
    await sleep(pauseMs);
  }
}
