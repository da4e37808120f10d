import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { bearerToken, createToken, hashToken } from "./token.ts";

test("a token is its prefix for people, 256 random bits, and the hash of all of it", () => {
  const made = Array.from({ length: 200 }, createToken);
  expect(new Set(made.map(({ secret }) => secret)).size).toBe(200);
  for (const { secret, prefix, hash } of made) {
    expect(secret).toMatch(/^fnctl_[a-z2-7]{8}_[\w-]{43}$/);
    expect(secret.split("_")[1]).toBe(prefix);
    expect(hash).toEqual(createHash("sha256").update(secret).digest());
    expect(hashToken(secret)).toEqual(hash);
  }
});

const { secret } = createToken();
test.each([
  ["Bearer", `Bearer ${secret}`, secret],
  ["the scheme in any case (RFC 9110 section 11.1)", `bEARER ${secret}`, secret],
  ["another scheme", `Basic ${secret}`, undefined],
  ["nothing", undefined, undefined],
  ["two values", `Bearer ${secret} ${secret}`, undefined],
  ["one character less", `Bearer ${secret.slice(0, -1)}`, undefined],
  ["one character more", `Bearer ${secret}x`, undefined],
  ["a prefix with digits that base32 has not", "Bearer fnctl_01890189_".padEnd(65, "a"), undefined],
])("of an Authorization header: %s", (_what, header, found) => {
  expect(bearerToken(header)).toBe(found);
});
