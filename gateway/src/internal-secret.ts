// The secret that the internal listeners share. Fails closed: no secret, no service (SECURITY D8, Fission #3663).
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { PlatformError } from "@fnctl/control-plane/contract/errors";

const MIN_BYTES = 32;

export function readInternalSecret(path: string): string {
  let secret: string;
  try {
    secret = readFileSync(path, "utf8").trim();
  } catch (cause) {
    throw new PlatformError("INVALID_CONFIG", `The internal secret cannot be read from ${path}.`, {
      cause,
      hint: "Point FNCTL_INTERNAL_SECRET_FILE at a readable file.",
    });
  }
  if (Buffer.byteLength(secret) < MIN_BYTES || !/^[\x21-\x7e]+$/.test(secret)) {
    throw new PlatformError("INVALID_CONFIG", `The internal secret in ${path} is empty, short or not printable.`, {
      hint: `Write at least ${MIN_BYTES} printable bytes into it, e.g. 64 hex digits.`,
    });
  }
  return secret;
}

/** Checks `authorization: Bearer …` in a time that does not depend on the value. */
export function createBearerCheck(secret: string): (authorization: string | undefined) => boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  const expected = digest(`Bearer ${secret}`);
  return (authorization) => timingSafeEqual(digest(authorization ?? ""), expected);
}
