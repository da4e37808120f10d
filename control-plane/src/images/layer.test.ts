// A layer from a build is hostile (SECURITY G6): only regular files and folders at clean paths come through, in canonical form.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../contract/limits.ts";
import { canonicalLayer } from "./layer.ts";
import { LAYER_PATH_DEPTH } from "./layer-lint.ts";
import { END, archive, entry, file, folder, gnuLong, pax } from "./testing/archives.ts";

let target: string;
beforeEach(async () => (target = await mkdtemp(path.join(tmpdir(), "fn-layer-"))));
afterEach(() => rm(target, { recursive: true, force: true }));

const through = (source: Readable) => buffer(canonicalLayer(source, target));
const code = (error: unknown) => (error as { code?: string }).code;
const refusal = (source: Readable) => through(source).then(() => "accepted", code);
/** Files below `target` that this process still has open. */
async function openBelow(): Promise<string[]> {
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
  return (await Promise.all(links)).filter((link) => link.startsWith(target));
}
const F = "function/f";
/** A number in base 256, which GNU tar uses where octal is too small; the first byte 0xff makes it negative. */
const base256 = (first: number, last: number) =>
  Buffer.from([first, ...Array.from({ length: 10 }, () => (first === 0xff ? 0xff : 0)), last]);

describe("refused is", () => {
  test.each<[string, Buffer[]]>([
    ["a symbolic link", [entry({ name: F, type: "2", linkname: "/etc/passwd" })]],
    ["a hard link", [file("function/a"), entry({ name: F, type: "1", linkname: "function/a" })]],
    ["a hard link to the host", [entry({ name: F, type: "1", linkname: "/etc/passwd" })]],
    ["a character device", [entry({ name: F, type: "3" })]],
    ["a block device", [entry({ name: F, type: "4" })]],
    ["a fifo", [entry({ name: F, type: "6" })]],
    ["a contiguous file", [entry({ name: F, type: "7", content: "x" })]],
    ["GNU's sparse file", [entry({ name: F, type: "S", content: "x" })]],
    ["GNU's multi-volume part", [entry({ name: F, type: "M", content: "x" })]],
    ["an entry of no known type", [entry({ name: F, type: "Z" })]],
    ["setuid", [entry({ name: F, mode: 0o4755 })]],
    ["setgid on a folder", [entry({ name: "function/d/", type: "5", mode: 0o2755 })]],
    ["the sticky bit", [entry({ name: F, mode: 0o1644 })]],
    ["an absolute path", [file("/etc/passwd")]],
    ["an absolute path below the root's name", [file("/function/f")]],
    ["a path that climbs out", [file("function/../../etc/passwd")]],
    ["a path that climbs and comes back", [file("function/a/../f")]],
    ["a path beside the function's folder", [file("functional/f")]],
    ["the root", [folder("."), file(F)]],
    ["a dot in the path", [file("function/./f")]],
    ["two slashes", [file("function//f")]],
    ["a file whose name ends in a slash", [file("function/f/")]],
    ["a backslash", [file("function/a\\..\\b")]],
    ["an empty name", [file("")]],
    ["a control character", [file("function/a\u001b]0;x\u0007")]],
    ["a name that is not UTF-8", [entry({ name: Buffer.from([...Buffer.from("function/"), 0xff, 0xfe]) })]],
    ["a whiteout", [file("function/.wh.f")]],
    ["an opaque whiteout", [file("function/d/.wh..wh..opq")]],
    ["a whiteout folder", [folder("function/.wh.d")]],
    ["the same name twice", [file(F), file(F)]],
    ["a folder twice", [folder("function/d"), folder("function/d")]],
    ["names out of order", [file("function/b"), file("function/a")]],
    ["names that differ in case only", [file("function/A"), file("function/a")]],
    ["folders that differ in case only", [file("function/D"), folder("function/d")]],
    ["names that differ in Unicode form only", [file("function/e\u0301"), file("function/\u00e9")]],
    ["an entry below a file", [file("function/a"), file("function/a/b")]],
    ["an entry below a file, in other case", [file("function/A"), file("function/a/b")]],
    ["a file in a folder that no entry is", [folder("function"), file("function/d/f")]],
    ["a folder in a folder that no entry is", [folder("function"), folder("function/d/e"), file("function/d/e/f")]],
    ["an entry in a folder that is there in other case only", [folder("function/Lib"), file("function/lib/f")]],
    ["a path override by pax", [pax("x", { path: "../../etc/passwd" }), file(F)]],
    ["a path override by pax, absolute", [pax("x", { path: "/etc/passwd" }), file(F)]],
    ["a NUL in a pax path", [pax("x", { path: "function/a\0/../../etc/passwd" }), file(F)]],
    ["a path override by a global pax header", [pax("g", { path: "../../etc/passwd" }), pax("x", { size: "1" }), file(F)]],
    ["a pax size that is negative", [pax("x", { size: "-1" }), file(F)]],
    ["a pax size that is no number", [pax("x", { size: "many" }), file(F)]],
    ["pax's sparse maps", [pax("x", { "GNU.sparse.major": "1", "GNU.sparse.name": "function/g" }), file(F)]],
    ["pax's extended attributes", [pax("x", { "SCHILY.xattr.security.capability": "x" }), file(F)]],
    ["a path override by GNU's long name", [gnuLong("L", "../../etc/passwd"), entry({ name: F, content: "x", gnu: true })]],
    ["GNU's long link", [gnuLong("K", "/etc/passwd"), entry({ name: F, type: "2", gnu: true })]],
    ["a long name made of many", [gnuLong("L", F), gnuLong("L", "/etc/passwd"), entry({ name: "x", gnu: true })]],
    ["a negative size", [entry({ name: F, size: base256(0xff, 0) })]],
    ["a size that is no number", [entry({ name: F, size: "99999999999 " })]],
    ["a folder with content", [entry({ name: "function/d/", type: "5", content: file("function/d/evil") })]],
    ["a wrong checksum", [Buffer.concat([file(F).fill("9", 148, 150)])]],
    ["bytes that are no archive", [randomBytes(4096)]],
    [
      "a long name that is longer than is held",
      [entry({ name: "././@LongLink", type: "L", size: base256(0x80, 0).fill(1, 8, 9), gnu: true })],
    ],
  ])("%s", async (_what, parts) => {
    expect(await refusal(archive(...parts))).toBe("INVALID_ARCHIVE");
    expect(existsSync(path.join(target, "../etc/passwd"))).toBe(false);
    for (const name of await readdir(target)) expect(name).toBe("function"); // nothing was written outside the folder `function`
  });

  test.each([0, 700, 1400])("an archive that breaks off %i bytes before its end", async (missing) => {
    const whole = Buffer.concat([folder("function"), file(F, randomBytes(2000))]);
    const broken = Readable.from([whole.subarray(0, whole.length - missing - 1)]);
    expect(await refusal(broken)).toBe("INVALID_ARCHIVE");
  });

  test("a source that fails between two entries, where an archive could end", async () => {
    const source = Readable.from(
      (async function* () {
        yield file("function/a");
        await new Promise((resolve) => setTimeout(resolve, 20));
        throw new Error("connection lost");
      })(),
    );
    expect(await refusal(source)).toBe("INVALID_ARCHIVE");
  });
});

describe("limits, each on both sides", () => {
  const ofBytes = (bytes: number) => "p".repeat(bytes);
  const long = (bytes: number) => `function/${Array.from({ length: 9 }, () => ofBytes(99)).join("/")}/`.padEnd(bytes, "z");
  const deep = (parts: number) => `function/${"d/".repeat(parts - 2)}f`;
  /** The folders that a path needs, each as an entry. */
  const parents = (name: string) =>
    [...name.matchAll(/\//g)].slice(1).flatMap(({ index }) => [pax("x", { path: name.slice(0, index + 1) }), folder("function/x")]);

  test.each([
    ["a path's bytes", long(LIMITS.sourcePathBytes), long(LIMITS.sourcePathBytes + 1)],
    ["a path's depth", deep(LAYER_PATH_DEPTH), deep(LAYER_PATH_DEPTH + 1)],
  ])("%s", async (_what, most, more) => {
    expect(await refusal(archive(...parents(most), pax("x", { path: most }), file("function/x")))).toBe("accepted");
    await rm(path.join(target, "function"), { recursive: true });
    expect(await refusal(archive(...parents(more), pax("x", { path: more }), file("function/x")))).toBe("INVALID_ARCHIVE");
  });

  test("the bytes of all files: by what the headers say, before any is written", async () => {
    const half = LIMITS.layerBytes / 2;
    const sized = (name: string, size: number) => entry({ name, size: `${size.toString(8).padStart(11, "0")} ` });
    const unread = path.join(target, "function", "b");
    expect(await refusal(Readable.from([sized("function/a", LIMITS.layerBytes + 1)]))).toBe("PAYLOAD_TOO_LARGE");
    expect(await refusal(Readable.from([sized("function/a", 2 ** 33 - 1)]))).toBe("PAYLOAD_TOO_LARGE");
    expect(await refusal(Readable.from([entry({ name: "function/a", size: base256(0x80, 0).fill(1, 5, 6) })]))).toBe("PAYLOAD_TOO_LARGE");
    async function* two(second: number) {
      yield sized("function/a", half);
      for (let sent = 0; sent < half; sent += 1024 ** 2) yield Buffer.alloc(1024 ** 2);
      yield sized("function/b", second);
    }
    await rm(path.join(target, "function"), { recursive: true, force: true });
    expect(await refusal(Readable.from(two(half + 1)))).toBe("PAYLOAD_TOO_LARGE");
    expect(existsSync(unread)).toBe(false);
    await rm(path.join(target, "function"), { recursive: true, force: true });
    expect(await refusal(Readable.from(two(half)))).toBe("INVALID_ARCHIVE"); // the size is within the limit, but the content is missing
    expect(existsSync(unread)).toBe(true);
  });
});

describe("what comes through", () => {
  const good = () =>
    archive(
      folder("function"),
      folder("function/code"),
      entry({ name: "function/code/run", content: "go", mode: 0o777 }),
      file("function/code/z", "data"),
    );

  test("is unpacked as it was checked, with plain modes", async () => {
    await through(good());
    expect(await readFile(path.join(target, "function/code/z"), "utf8")).toBe("data");
    expect((await stat(path.join(target, "function/code/run"))).mode & 0o7777).toBe(0o755);
    expect((await stat(path.join(target, "function/code/z"))).mode & 0o7777).toBe(0o644);
  });

  test("is the same bytes for the same files, whatever owner, time and mode the headers said, and once more through it", async () => {
    const plain = await through(good());
    await rm(path.join(target, "function"), { recursive: true });
    const other = await through(
      archive(
        folder("function"),
        folder("function/code"),
        entry({ name: "function/code/run", content: "go", mode: 0o711 }),
        entry({ name: "function/code/z", content: "data", mode: 0o600, gnu: true }),
      ),
    );
    expect(other.equals(plain)).toBe(true);
    await rm(path.join(target, "function"), { recursive: true });
    expect((await through(Readable.from([plain]))).equals(plain)).toBe(true);
  });

  test("keeps long and non-ASCII names", async () => {
    const name = `function/${"long".repeat(40)}/日本語.txt`;
    const long = pax("x", { path: `${path.dirname(name)}/` });
    await through(archive(long, folder("function/x"), pax("x", { path: name }), file("function/x", "data")));
    expect(await readFile(path.join(target, name), "utf8")).toBe("data");
  });

  test("what stands behind the end of the archive is checked like the rest", async () => {
    expect(await refusal(archive(file("function/a"), END, entry({ name: "function/b", type: "2", linkname: "/etc" })))).toBe(
      "INVALID_ARCHIVE",
    );
  });
});

test("memory stays bounded while a large layer goes through, and a slow reader holds the source back", async () => {
  const TOTAL = 256 * 1024 ** 2;
  let produced = 0;
  async function* large() {
    yield entry({ name: "function/large", size: `${TOTAL.toString(8).padStart(11, "0")} ` });
    const chunk = Buffer.alloc(64 * 1024, 7);
    for (; produced < TOTAL; produced += chunk.length) yield chunk;
    yield END;
  }
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  let most = 0;
  let read = 0;
  const reader = canonicalLayer(Readable.from(large()), target)[Symbol.asyncIterator]();
  read += ((await reader.next()).value as Buffer).length;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(produced).toBeLessThan(4 * 1024 ** 2);
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
    read += (next.value as Buffer).length;
    most = Math.max(most, process.memoryUsage().rss);
  }
  expect(read).toBeGreaterThan(TOTAL);
  expect((most - before) / 1024 ** 2).toBeLessThan(100);
});

test("a reader that goes away ends the reading of the source, and nothing is left open", async () => {
  let ended = false;
  async function* endless() {
    try {
      yield entry({ name: "function/large", size: `${(2 ** 28).toString(8).padStart(11, "0")} ` });
      for (;;) yield Buffer.alloc(64 * 1024);
    } finally {
      ended = true;
    }
  }
  const layer = canonicalLayer(Readable.from(endless()), target);
  layer.once("data", () => layer.destroy(new Error("the disk is full")));
  layer.on("error", () => undefined);
  await expect.poll(() => ended, { timeout: 5_000 }).toBe(true);
  await expect.poll(openBelow, { timeout: 5_000 }).toEqual([]);
});

test("a disk that fails is not the archive's fault", async () => {
  await rm(target, { recursive: true });
  await writeFile(target, ""); // no folder can be made below a file
  expect(await refusal(archive(folder("function")))).toBe("ENOTDIR");
});
