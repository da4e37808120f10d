import { chmod, mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { createGunzip } from "node:zlib";
import { extract, type Header } from "tar-stream";
import { expect, test } from "vitest";
import { folderWith } from "../testing/run-cli.ts";
import { packFolder } from "./archive.ts";

const LONG = `${"deep/".repeat(20)}${"n".repeat(120)}.txt`;
const FILES = { "fnctl.yaml": "name: x", "index.ts": "export {}", "b/two.txt": "2", "b.txt": "1", "ä.txt": "unicode", [LONG]: "long" };

async function read(bytes: Buffer): Promise<{ header: Header; content: string }[]> {
  const entries: { header: Header; content: string }[] = [];
  for await (const entry of Readable.from([bytes]).pipe(createGunzip()).pipe(extract()))
    entries.push({ header: entry.header, content: (await buffer(entry)).toString() });
  return entries;
}

test("the same files give the same bytes, whatever their times, order and permissions", async () => {
  const [one, two] = [await folderWith(FILES), await folderWith(Object.fromEntries(Object.entries(FILES).toReversed()))];
  await utimes(path.join(two, "b.txt"), 1, 1);
  await chmod(path.join(two, "b.txt"), 0o640);
  const [first, second] = [await packFolder(one), await packFolder(two)];
  expect(second.digest).toBe(first.digest);
  expect(first.bytes.subarray(0, 10).toString("hex")).toBe("1f8b08000000000000ff");
});

test("entries are sorted, plain, at the root, and readable by another implementation", async () => {
  const folder = await folderWith(FILES);
  await chmod(path.join(folder, "index.ts"), 0o700);
  const entries = await read((await packFolder(folder)).bytes);
  expect(entries.map(({ header }) => header.name)).toEqual(["b.txt", "b/two.txt", LONG, "index.ts", "ä.txt"]);
  for (const { header } of entries)
    expect(header).toMatchObject({ uid: 0, gid: 0, type: "file", mode: header.name === "index.ts" ? 0o755 : 0o644, mtime: new Date(0) });
  expect(entries.find(({ header }) => header.name === LONG)?.content).toBe("long");
});

test("ignore files: built-in, .gitignore, .fnctlignore, nested, taken back", async () => {
  const folder = await folderWith({
    "index.js": "",
    ".gitignore": "dist/\n*.log\n",
    ".fnctlignore": "!dist/\nfixtures\n",
    "dist/app.js": "",
    "x.log": "",
    "fixtures/a.json": "",
    "sub/.gitignore": "*.tmp\n!keep.log\n",
    "sub/a.tmp": "",
    "sub/keep.log": "",
    "sub/fnctl.yaml": "not the project's own",
    "node_modules/x/index.js": "",
    "sub/node_modules/y.js": "",
    ".env": "SECRET=1",
    ".env.local": "SECRET=1",
    "__pycache__/a.pyc": "",
    ".venv/bin/python": "",
    ".git/config": "",
  });
  const { files } = await packFolder(folder);
  expect(files.map((file) => file.name)).toEqual(["dist/app.js", "index.js", "sub/fnctl.yaml", "sub/keep.log"]);
});

test("the .gitignore of the repository around the project counts", async () => {
  const root = await folderWith({ ".git/config": "", ".gitignore": "*.secret\n", "fn/index.js": "", "fn/key.secret": "" });
  expect((await packFolder(path.join(root, "fn"))).files.map((file) => file.name)).toEqual(["index.js"]);
});

test("what cannot be taken is refused by name", async () => {
  const link = await folderWith({ "index.js": "" });
  await symlink("/etc/passwd", path.join(link, "passwd"));
  await expect(packFolder(link)).rejects.toThrow(/^passwd is a symbolic link/);
  await writeFile(path.join(link, ".fnctlignore"), "passwd\n");
  expect((await packFolder(link)).files).toHaveLength(1);

  const cases = await folderWith({ "Index.js": "", "index.js": "" });
  await expect(packFolder(cases)).rejects.toThrow(/differ only in case/);

  const deep = await folderWith({ [`${"a/".repeat(33)}x`]: "" });
  await expect(packFolder(deep)).rejects.toThrow(/deeper than 32 folders/);

  const strange = await folderWith({ "a\\b": "" });
  await expect(packFolder(strange)).rejects.toThrow(/backslash/);

  const empty = await folderWith({ "fnctl.yaml": "" });
  await mkdir(path.join(empty, "folder"));
  await expect(packFolder(empty)).rejects.toMatchObject({ code: "INVALID_ARCHIVE" });

  const zeros = await folderWith({});
  await writeFile(path.join(zeros, "zeros.bin"), Buffer.alloc(200 * 1024 * 1024));
  await expect(packFolder(zeros)).rejects.toThrow(/100 times its packed size/);
});
