// Tokens: `fnctl_<8 characters for people>_<256 random bits>`. Only the hash of the whole is kept (SECURITY E10).
import { createHash, randomBytes } from "node:crypto";
import { PlatformError } from "../contract/errors.ts";

export interface FreshToken {
  secret: string;
  prefix: string;
  hash: Buffer;
}
const SHAPE = /^fnctl_[a-z2-7]{8}_[A-Za-z0-9_-]{43}$/;

export const hashToken = (secret: string): Buffer => createHash("sha256").update(secret).digest();

export function createToken(): FreshToken {
  const prefix = [...randomBytes(8)].map((byte) => "abcdefghijklmnopqrstuvwxyz234567"[byte % 32]).join("");
  const secret = `fnctl_${prefix}_${randomBytes(32).toString("base64url")}`;
  return { secret, prefix, hash: hashToken(secret) };
}

/** A secret that somebody else made. Throws BAD_REQUEST when it has not the form of a token. */
export function givenToken(secret: string): FreshToken {
  const [, prefix = ""] = secret.split("_");
  if (!SHAPE.test(secret)) throw new PlatformError("BAD_REQUEST", "The secret has not the form of a token.");
  return { secret, prefix, hash: hashToken(secret) };
}

/** The token of an `Authorization: Bearer` header, if it has the form of a token; other values are never looked up in the database. */
export function bearerToken(header: string | undefined): string | undefined {
  const match = /^Bearer (\S+)$/i.exec(header ?? "");
  return match?.[1] !== undefined && SHAPE.test(match[1]) ? match[1] : undefined;
}
