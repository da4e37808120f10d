import { execFileSync } from "node:child_process";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { expect, test } from "vitest";
import { DigestMeter, sha256 } from "./digest.ts";

/** The digest according to sha256sum. */
const judge = (bytes: Buffer): string => `sha256:${execFileSync("sha256sum", { input: bytes }).toString().slice(0, 64)}`;

test.each([0, 1, 65_537])("%d bytes, at once and in pieces, have the digest that sha256sum gives them", async (size) => {
  const bytes = Buffer.alloc(size, "fnctl");
  const meter = new DigestMeter();
  const pieces = Array.from({ length: Math.ceil(size / 1_000) }, (_, i) => bytes.subarray(i * 1_000, (i + 1) * 1_000));
  expect(await buffer(Readable.from(pieces).pipe(meter.through()))).toEqual(bytes);
  expect([meter.bytes, meter.digest(), sha256(bytes)]).toEqual([size, judge(bytes), judge(bytes)]);
});

test.each([
  ["of as many bytes as may be", 10, undefined],
  ["of one byte more", 11, "too large"],
])("a stream %s", async (_name, size, message) => {
  const through = new DigestMeter().through({ bytes: 10, error: () => new Error("too large") });
  const passing = pipeline(Readable.from([Buffer.alloc(size)]), through, async (source) => void (await buffer(source)));
  if (message === undefined) await expect(passing).resolves.toBeUndefined();
  else await expect(passing).rejects.toThrow(message);
});
