// Hostile archives through the public API: each ends in a coded problem that names the entry, and leaves nothing behind (SECURITY G1, G2).
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import type { Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { createGzip, gzipSync } from "node:zlib";
import tar, { type Header } from "tar-stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { api, call, deploy, deployArchive, stateDir, token } from "./api.ts";
import { archive } from "../src/api-client.ts";
import { deployFixture } from "./fixture.ts";
import { pidOf } from "./processes.ts";

const CODE = { name: "index.js", content: "export default () => new Response('ok');" };
type Entry = Partial<Header> & { name: string; content?: string | Buffer };

/** A gzipped tar with exactly these entries, however hostile they are. */
async function packed(...entries: Entry[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const { content = "", ...header } of entries) pack.entry({ mtime: new Date(0), ...header }, content as string);
  pack.finalize();
  return gzipSync(await buffer(pack));
}

/** A gzipped tar with one file of `mib` MiB of zeros; compressed while it is written, because it is large. */
async function bomb(mib: number): Promise<Buffer> {
  const pack = tar.pack();
  const zeros = Buffer.alloc(1024 * 1024);
  const file = pack.entry({ name: "zeros", size: mib * zeros.length, mtime: new Date(0) }) as unknown as Writable;
  const packing = buffer(pack.pipe(createGzip({ level: 9 })));
  for (let i = 0; i < mib; i++) if (!file.write(zeros)) await new Promise((resolve) => file.once("drain", resolve));
  file.end();
  pack.finalize();
  return packing;
}

async function truncated(): Promise<Buffer> {
  const whole = await packed(CODE, { name: "pad.bin", content: randomBytes(20_000) });
  return whole.subarray(0, whole.length - 5_000);
}
/** A tar header with a negative size (base-256 coding, as GNU tar writes large sizes). */
async function negativeSize(): Promise<Buffer> {
  const pack = tar.pack();
  pack.entry({ name: "index.js", mtime: new Date(0) }, "x");
  pack.finalize();
  const bytes = await buffer(pack);
  bytes.fill(0xff, 124, 136);
  bytes.fill(0x20, 148, 156);
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return gzipSync(bytes);
}

const HOSTILE: [what: string, make: () => Promise<Buffer>, says: RegExp][] = [
  ["a path that leads out", () => packed(CODE, { name: "../../etc/cron.d/evil", content: "x" }), /leads out of the archive/],
  ["an absolute path", () => packed(CODE, { name: "/etc/evil", content: "x" }), /absolute path/],
  ["a path that leads out in the middle", () => packed(CODE, { name: "a/../../b", content: "x" }), /leads out/],
  ["a path with a backslash", () => packed(CODE, { name: "..\\..\\evil", content: "x" }), /backslash/],
  ["a symbolic link", () => packed(CODE, { name: "link", type: "symlink", linkname: "/etc/passwd" }), /symlink/],
  [
    "a symbolic link that is then written through",
    () => packed(CODE, { name: "out", type: "symlink", linkname: "/" }, { name: "out/tmp/evil", content: "x" }),
    /symlink/,
  ],
  ["a hard link", () => packed(CODE, { name: "link", type: "link", linkname: "/etc/shadow" }), /link/],
  ["a character device", () => packed(CODE, { name: "mem", type: "character-device", devmajor: 1, devminor: 1 }), /character-device/],
  ["a block device", () => packed(CODE, { name: "sda", type: "block-device", devmajor: 8, devminor: 0 }), /block-device/],
  ["a FIFO", () => packed(CODE, { name: "pipe", type: "fifo" }), /fifo/],
  ["a PAX header that renames a good entry", () => packed({ ...CODE, pax: { path: "../../evil.js" } }), /leads out/],
  ["a PAX header that makes it a link", () => packed(CODE, { name: "a", type: "symlink", pax: { linkpath: "/etc/passwd" } }), /symlink/],
  ["the same name twice", () => packed(CODE, CODE), /twice/],
  ["names that differ in case only", () => packed(CODE, { name: "Index.js", content: "x" }), /case or Unicode/],
  ["a file below a file", () => packed(CODE, { name: "index.js/inner", content: "x" }), /twice/],
  ["a path that is too deep", () => packed(CODE, { name: `${"d/".repeat(40)}x`, content: "x" }), /deeper than/],
  ["a negative size", negativeSize, /impossible size|not a readable/],
  ["a gzip bomb", () => bomb(400), /times its size/],
  ["a truncated gzip", truncated, /not a readable gzip'd tar/],
  ["bytes that are no gzip", async () => Buffer.from("MZ this is no archive at all"), /not a readable gzip'd tar/],
  ["a gzip that is no tar", async () => gzipSync(randomBytes(4096)), /not a readable gzip'd tar/],
];

/** The control plane's memory, MiB, which must not grow with the size of an archive. */
const residentMib = (): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pidOf("control-plane")}/status`, "utf8"))?.[1]) / 1024;
let before: number;
beforeAll(async () => {
  await deployFixture("bystander", "echo.js");
  before = residentMib();
});

describe("an archive with", () => {
  test.each(HOSTILE)("%s is refused", async (_what, make, says) => {
    const end = await deployArchive("hostile", await make());
    expect(end.state).toBe("failed");
    expect(end.problem).toMatchObject({ code: "INVALID_ARCHIVE", detail: expect.stringMatching(says) });
  });

  test("more files than allowed is refused", async () => {
    const files = Object.fromEntries(Array.from({ length: LIMITS.sourceFiles + 1 }, (_, i) => [`f${i}`, ""]));
    const end = await deployArchive("hostile", await archive(files));
    expect(end.problem).toMatchObject({ code: "INVALID_ARCHIVE", detail: expect.stringContaining(String(LIMITS.sourceFiles)) });
  });
});

describe("an upload", () => {
  const put = (digest: string, raw: Buffer, headers: Record<string, string> = {}) => api("PUT", `/v1/blobs/${digest}`, { raw, headers });
  const digestOf = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const code = async (answer: Response): Promise<unknown[]> => [answer.status, ((await answer.json()) as { code: string }).code];

  test("under another digest is refused, and cannot be deployed", async () => {
    const digest = digestOf(Buffer.from("something else"));
    expect(await code(await put(digest, Buffer.from("this")))).toEqual([422, "DIGEST_MISMATCH"]);
    expect((await api("GET", `/v1/blobs/${digest}`)).status).toBe(404);
    const body = { sourceDigest: digest, config: { runtime: "node24" } };
    expect((await api("POST", "/v1/functions/hostile/versions", { body })).status).toBe(404);
  });

  test.each(["sha256:short", "md5:0123456789abcdef0123456789abcdef", `sha256:${"A".repeat(64)}`, `sha256:${"0".repeat(64)}%2f..`])(
    "under the name %s is refused",
    async (digest) => {
      expect((await put(digest, Buffer.from("x"))).status).toBe(400);
    },
  );

  test("above the cap is refused, announced or not", async () => {
    const large = Buffer.alloc(LIMITS.sourceArchiveBytes + 1);
    expect(await code(await put(digestOf(large), large))).toEqual([413, "PAYLOAD_TOO_LARGE"]);
    const streamed = await fetch((await api("GET", "/v1/healthz")).url.replace("healthz", `blobs/${digestOf(large)}`), {
      method: "PUT",
      headers: { authorization: `Bearer ${token()}` },
      body: new Blob([large]).stream(),
      duplex: "half",
    });
    expect(await code(streamed)).toEqual([413, "PAYLOAD_TOO_LARGE"]);
  });

  test("without a token is refused before it is read", async () => {
    const answer = await put(digestOf(Buffer.from("x")), Buffer.from("x"), { authorization: "Bearer nobody" });
    expect(await code(answer)).toEqual([401, "UNAUTHENTICATED"]);
  });
});

afterAll(async () => {
  await api("DELETE", "/v1/functions/hostile");
});

describe("after all that", () => {
  test("nothing is left: no spooled upload, no version that is ready, no layer of a refused archive", async () => {
    expect(readdirSync(`${stateDir}/spool`)).toEqual([]);
    const { items } = (await (await api("GET", "/v1/functions/hostile/versions?limit=200")).json()) as {
      items: { state: string; imageDigest: null }[];
    };
    expect(items.length).toBeGreaterThanOrEqual(HOSTILE.length);
    for (const item of items) expect(item).toMatchObject({ state: "failed", imageDigest: null });
    expect((await api("GET", "/fn/acme/hostile")).status).toBe(404); // the function never went live
  });

  test("the platform is well, and the control plane holds none of it in memory", async () => {
    expect((await call("bystander")).status).toBe(200);
    expect((await deploy("hostile", { "index.js": CODE.content })).state).toBe("succeeded");
    expect(residentMib() - before).toBeLessThan(200);
  });
});
