// Text that a function prints is hostile, and it is shown on other people's terminals and pages (SECURITY D10).
import { LIMITS } from "../../contract/limits.ts";

// Control characters except tab and line feed, DEL and C1, line and paragraph separators, and marks that change the direction of text.
// eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
const CUT_MARK = "…[cut]";

/**
 * Unsafe characters become their visible escapes; the result has at most LIMITS.logLineBytes characters, and a mark after them when it was
 * cut.
 */
export function sanitise(text: string): string {
  const safe = text.slice(0, LIMITS.logLineBytes).replaceAll(UNSAFE, escaped);
  const whole = text.length <= LIMITS.logLineBytes && safe.length <= LIMITS.logLineBytes;
  return whole ? safe : `${safe.slice(0, LIMITS.logLineBytes)}${CUT_MARK}`; // escapes make the text longer, so it is cut again
}

const escaped = (char: string): string => `\\u${char.codePointAt(0)?.toString(16).padStart(4, "0") ?? ""}`;
