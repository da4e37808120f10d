// An Idempotency-Key belongs to one request, which is recognised by a hash of its content.
import { createHash } from "node:crypto";
import { PlatformError } from "../../contract/errors.ts";
import type { OnceKey } from "../../db/once.ts";

/** Longest key, characters. */
const KEY_CHARACTERS = 255;

/** `request`: every value that the answer depends on. */
export function onceKey(key: string | undefined, request: unknown): OnceKey | undefined {
  if (key === undefined) return undefined;
  if (key.length === 0 || key.length > KEY_CHARACTERS)
    throw new PlatformError("BAD_REQUEST", `An Idempotency-Key has 1 to ${KEY_CHARACTERS} characters.`);
  return { key, requestHash: createHash("sha256").update(JSON.stringify(request)).digest("hex") };
}
