// What an Idempotency-Key stands for: one request, by its own content.
import { createHash } from "node:crypto";
import { PlatformError } from "../../contract/errors.ts";
import type { OnceKey } from "../../db/once.ts";

/** Longest key, characters. */
const KEY_CHARACTERS = 255;

/** `request`: all that the answer depends on. */
export function onceKey(key: string | undefined, request: unknown): OnceKey | undefined {
  if (key === undefined) return undefined;
  if (key.length === 0 || key.length > KEY_CHARACTERS)
    throw new PlatformError("BAD_REQUEST", `An Idempotency-Key has 1 to ${KEY_CHARACTERS} characters.`);
  return { key, requestHash: createHash("sha256").update(JSON.stringify(request)).digest("hex") };
}
