// Refuses file names that the platform refuses in a source archive, before anything is sent (LIMITS; the builder checks again).
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { CliError } from "../errors/cli-error.ts";

export const refuse = (message: string, hint = "Leave it out with a line in .fnctlignore."): CliError =>
  new CliError("INVALID_ARCHIVE", message, { hint });

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const REFUSED = /[\\\u0000-\u001f\u007f\ufffd]/;

export function checkPath(name: string): void {
  const shown = JSON.stringify(name.slice(0, 120));
  if (REFUSED.test(name) || !name.isWellFormed())
    throw refuse(`The file name ${shown} holds a control character, a backslash or broken UTF-8.`);
  if (Buffer.byteLength(name) > LIMITS.sourcePathBytes) throw refuse(`The path ${shown}… is longer than ${LIMITS.sourcePathBytes} bytes.`);
  if (name.split("/").length > LIMITS.sourcePathDepth) throw refuse(`The path ${shown} is deeper than ${LIMITS.sourcePathDepth} folders.`);
}

/** Names that differ only in case or Unicode form are one file on some systems and two on others. */
export function checkCollisions(names: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const parts = name.split("/");
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const part = parts.slice(0, depth).join("/");
      const folded = part.normalize("NFKC").toLowerCase();
      const other = seen.get(folded);
      if (other !== undefined && other !== part)
        throw refuse(`${JSON.stringify(other)} and ${JSON.stringify(part)} differ only in case or Unicode form.`, "Rename one of them.");
      seen.set(folded, part);
    }
  }
}
