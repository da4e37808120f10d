// Checks whether a call carries the secret that two parts of the platform share.
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Checks `authorization: Bearer …` in a time that depends neither on the given value nor on its length. */
export function createBearerCheck(secret: string): (request: Pick<IncomingMessage, "headers">) => boolean {
  const expected = digest(`Bearer ${secret}`);
  return ({ headers }) => timingSafeEqual(digest(headers.authorization ?? ""), expected);
}
