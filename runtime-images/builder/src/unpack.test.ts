import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import tar from "tar-stream";
import { unpack } from "./unpack.ts";

interface TarEntry {
  name: string;
  type?: tar.Header["type"];
  linkname?: string;
  body?: string;
  mode?: number;
  pax?: Record<string, string>;
}

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function archive(entries: TarEntry[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const { body = "", ...header } of entries) {
    pack.entry(header as Parameters<tar.Pack["entry"]>[0], body);
  }
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function target(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fnctl-unpack-"));
  folders.push(folder);
  return join(folder, "source");
}

async function refusal(bytes: Buffer): Promise<string> {
  const folder = await target();
  const error = await unpack(Readable.from([bytes]), folder).then(
    () => undefined,
    (reason: Error) => reason,
  );
  expect(error?.name).toBe("BuildFailure");
  // Whatever the archive tried, only the target folder exists beside it.
  expect(await readdir(join(folder, ".."))).toEqual(["source"]);
  return error?.message ?? "";
}

/** A manipulated ustar header: bytes of a field are replaced and the checksum is corrected. */
function rawHeader(name: string, fields: Array<[offset: number, bytes: Buffer | string]>): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  for (const [offset, text] of [
    [100, "0000644\0"],
    [108, "0000000\0"],
    [116, "0000000\0"],
    [124, "00000000000\0"],
    [136, "00000000000\0"],
    [156, "0"],
    [257, "ustar\x0000"],
  ] as const)
    header.write(text, offset);
  for (const [offset, bytes] of fields) Buffer.from(bytes as string).copy(header, offset);
  header.write("        ", 148);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
  );
  return header;
}
const END = Buffer.alloc(1024);

describe("what is taken", () => {
  test("files, folders, executables; `./` and an entry for the root are as `tar czf - .` writes them", async () => {
    const folder = await target();
    const bytes = await archive([
      { name: "./", type: "directory" },
      { name: "./a.txt", body: "A" },
      { name: "b/c/run.sh", body: "#!", mode: 0o755 },
      { name: "b/", type: "directory" },
    ]);
    await unpack(Readable.from([gzipSync(bytes)]), folder);
    expect(await readFile(join(folder, "a.txt"), "utf8")).toBe("A");
    expect((await stat(join(folder, "b/c/run.sh"))).mode & 0o7777).toBe(0o755);
    expect((await stat(join(folder, "a.txt"))).mode & 0o7777).toBe(0o644);
  });
  test("a setuid bit is not kept", async () => {
    const folder = await target();
    await unpack(Readable.from([gzipSync(await archive([{ name: "s", body: "x", mode: 0o6755 }]))]), folder);
    expect((await stat(join(folder, "s"))).mode & 0o7000).toBe(0);
  });
});

describe("what is refused", () => {
  const cases: Array<[what: string, entries: TarEntry[], message: RegExp]> = [
    ["a symbolic link", [{ name: "l", type: "symlink", linkname: "/etc/passwd" }], /symlink/],
    [
      "a write through a symbolic link",
      [
        { name: "l", type: "symlink", linkname: "/tmp" },
        { name: "l/x", body: "x" },
      ],
      /symlink/,
    ],
    ["a hard link", [{ name: "l", type: "link", linkname: "/etc/passwd" }], /"l" is a link/],
    ["a character device", [{ name: "d", type: "character-device" }], /character-device/],
    ["a block device", [{ name: "d", type: "block-device" }], /block-device/],
    ["a fifo", [{ name: "f", type: "fifo" }], /fifo/],
    ["an absolute path", [{ name: "/etc/cron.d/x", body: "x" }], /absolute/],
    ["a drive path", [{ name: "C:/x", body: "x" }], /absolute/],
    ["a path that leads out", [{ name: "a/../../x", body: "x" }], /leads out/],
    ["a path set by a PAX header that leads out", [{ name: "ok", body: "x", pax: { path: "../x" } }], /leads out/],
    ["a backslash", [{ name: "a\\..\\x", body: "x" }], /backslash/],
    ["a control character", [{ name: "a\u001b[31m", body: "x" }], /control/],
    [
      "the same name twice",
      [
        { name: "a", body: "1" },
        { name: "a", body: "2" },
      ],
      /twice/,
    ],
    [
      "the same name twice in two spellings of the path",
      [
        { name: "a/b", body: "1" },
        { name: "a/./b", body: "2" },
      ],
      /twice/,
    ],
    [
      "names that differ in case",
      [
        { name: "a/Readme", body: "1" },
        { name: "a/README", body: "2" },
      ],
      /only in case/,
    ],
    [
      "folders that differ in case",
      [
        { name: "Lib/a", body: "1" },
        { name: "lib/b", body: "2" },
      ],
      /only in case/,
    ],
    [
      "names that differ in Unicode form",
      [
        { name: "caf\u00e9", body: "1" },
        { name: "cafe\u0301", body: "2" },
      ],
      /Unicode/,
    ],
    [
      "a file used as a folder",
      [
        { name: "a", body: "1" },
        { name: "a/b", body: "2" },
      ],
      /twice/,
    ],
    ["more than 32 folders deep", [{ name: `${"d/".repeat(33)}x`, body: "x" }], /deeper/],
    ["a path longer than 1024 bytes", [{ name: `${"d".repeat(200)}/`.repeat(6) + "x", body: "x" }], /longer/],
  ];
  test.each(cases)("%s", async (_what, entries, message) => {
    expect(await refusal(gzipSync(await archive(entries)))).toMatch(message);
  });
  test("a name with a NUL in a PAX header", async () => {
    const record = Buffer.from("14 path=a\0b/c\n");
    const size = record.length.toString(8).padStart(11, "0");
    const bytes = Buffer.concat([
      rawHeader("x", [
        [156, "x"],
        [124, `${size}\0`],
      ]),
      Buffer.concat([record], 512),
      rawHeader("plain", []),
      END,
    ]);
    expect(await refusal(gzipSync(bytes))).toMatch(/control/);
  });
  test("a negative size", async () => {
    // Base 256, two's complement: -1, and -512 so that it would also be a whole number of blocks.
    for (const low of [
      [0xff, 0xff],
      [0xfe, 0x00],
    ])
      await refusal(gzipSync(Buffer.concat([rawHeader("a", [[124, Buffer.concat([Buffer.alloc(10, 0xff), Buffer.from(low)])]]), END])));
  });
  test("a sparse file", async () => {
    await refusal(gzipSync(Buffer.concat([rawHeader("a", [[156, "S"]]), END])));
  });
  test("a checksum that is wrong", async () => {
    const header = rawHeader("a", []);
    header.write("zzz", 0);
    expect(await refusal(gzipSync(Buffer.concat([header, END])))).toMatch(/not a readable/);
  });
  test("bytes that are no gzip, a cut-off gzip, a cut-off tar", async () => {
    expect(await refusal(Buffer.from("hello"))).toMatch(/not a readable/);
    const whole = gzipSync(await archive([{ name: "a", body: "x".repeat(5000) }]));
    expect(await refusal(whole.subarray(0, whole.length - 10))).toMatch(/not a readable/);
    const bytes = await archive([{ name: "a", body: "x".repeat(5000) }]);
    expect(await refusal(gzipSync(bytes.subarray(0, 1024)))).toMatch(/not a readable/);
  });
  test("too many entries", async () => {
    const entries = Array.from({ length: 20_001 }, (_entry, index) => ({ name: `f${index}`, body: "x" }));
    expect(await refusal(gzipSync(await archive(entries)))).toMatch(/more than 20000 entries/);
  }, 60_000);
  test("a bomb: stops at the ratio, having written little", async () => {
    const zeros = gzipSync(Buffer.concat([rawHeader("big", [[124, "03777777777\0"]]), Buffer.alloc(100 * 2 ** 20)]));
    expect(zeros.length).toBeLessThan(200_000);
    expect(await refusal(zeros)).toMatch(/100 times/);
  });
});
