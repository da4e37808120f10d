// Whether a call carries the secret that two parts of the platform share.
import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** Equal length is not secret; equal content is compared in constant time. */
export function authorised(request: IncomingMessage, secret: Buffer): boolean {
  const given = Buffer.from((request.headers.authorization ?? "").replace(/^Bearer /, ""));
  return given.length === secret.length && timingSafeEqual(given, secret);
}
