// What a function prints is hostile: it is shown on other people's terminals and pages (SECURITY D10).
import { LIMITS } from "../../contract/limits.ts";

// Controls but tab and line feed, DEL and C1, line and paragraph separators, and marks that turn the direction of text around.
// eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Unsafe characters become their visible escapes; the text is cut at LIMITS.logLineBytes characters. */
export function sanitise(text: string): string {
  const cut = text.length > LIMITS.logLineBytes ? `${text.slice(0, LIMITS.logLineBytes)}…[cut]` : text;
  return cut.replaceAll(UNSAFE, (char) => `\\u${char.codePointAt(0)?.toString(16).padStart(4, "0") ?? ""}`);
}
