// The secret that the platform's parts share. Fails closed: without the secret a process does not start (SECURITY D8, Fission #3663).
import { readFileSync } from "node:fs";
import { PlatformError } from "../../contract/errors.ts";

const SECRET_MIN_BYTES = 32;

/** The trimmed text of `file`. Throws INVALID_CONFIG when it is missing, too short, or has characters that a header must not contain. */
export function readSecret(file: string): string {
  let secret: string;
  try {
    secret = readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new PlatformError("INVALID_CONFIG", `The secret cannot be read from ${file}.`, {
      cause,
      hint: "Point FNCTL_INTERNAL_SECRET_FILE, or the agent's setting, at a readable file.",
    });
  }
  if (Buffer.byteLength(secret) < SECRET_MIN_BYTES || !/^[\x20-\x7e]+$/.test(secret))
    throw new PlatformError("INVALID_CONFIG", `The secret in ${file} is empty, short or not printable.`, {
      hint: `Write at least ${SECRET_MIN_BYTES} printable bytes into it, e.g. 64 hex digits.`,
    });
  return secret;
}
