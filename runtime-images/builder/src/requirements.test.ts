// Reading a requirements file together with the files it names, with each limit just below and just above.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MOST_BYTES, MOST_FILES, readRequirements } from "./requirements.ts";

let source: string;
beforeEach(async () => (source = await mkdtemp(path.join(tmpdir(), "fn-req-"))));
afterEach(() => rm(source, { recursive: true, force: true }));

async function read(files: Record<string, string | Buffer>) {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(source, name)), { recursive: true });
    await writeFile(path.join(source, name), content);
  }
  return readRequirements(source, "requirements.txt", String(files["requirements.txt"]));
}
const texts = async (files: Record<string, string | Buffer>) => (await read(files)).packages.map(({ text }) => text);

test("comments, continued lines and either kind of line end", async () => {
  const text = "# all of it\nflask==3 # web\r\nclick \\\n  ==8.1 \\\n  --hash=sha256:aa \\\n  # why\n\nsix\rattrs \\";
  expect(await texts({ "requirements.txt": text })).toEqual(["flask==3", "click==8.1 --hash=sha256:aa", "six", "attrs"]);
});

test("files that it names are read from where they are named, each once, cycles included", async () => {
  const found = await read({
    "requirements.txt": "-r deps/web.txt\n-r requirements.txt\nsix\n",
    "deps/web.txt": "flask\n-r more/db.txt\n-c ../pins.txt\n",
    "deps/more/db.txt": "-r ../web.txt\nsqlalchemy\n-e ./libs/x\n",
    "pins.txt": "flask==3\n-r deps/pins.txt\n",
    "deps/pins.txt": "six==1\n",
    "libs/x/x.py": "",
  });
  expect(found.packages.map(({ text }) => text)).toEqual(["flask", "sqlalchemy", "six"]);
  expect(found.constraints).toEqual(["flask==3", "six==1"]);
  expect(found.folders).toEqual([{ path: "libs/x", extras: [], from: { file: "deps/more/db.txt", line: 3 } }]);
});

test("a hash anywhere asks for hashes everywhere", async () => {
  expect((await read({ "requirements.txt": "six\n" })).hashed).toBe(false);
  expect((await read({ "requirements.txt": "-r a.txt\n", "a.txt": "six --hash=sha256:aa" })).hashed).toBe(true);
  expect((await read({ "requirements.txt": "--require-hashes\nsix" })).hashed).toBe(true);
});

test("a wheel of the project is named by its address", async () => {
  const wheel = "vendor dir/x-1-py3-none-any.whl";
  const found = await texts({ "requirements.txt": `./${wheel} ; python_version > "3"\n`, [wheel]: "" });
  expect(found).toEqual([`x @ file://${source}/vendor%20dir/x-1-py3-none-any.whl ; python_version > "3"`]);
});

describe("refused with file and line is", () => {
  test.each<[string, Record<string, string>, RegExp]>([
    [
      "an option in a file that it names",
      { "requirements.txt": "-r a.txt", "a.txt": "six\n--extra-index-url https://evil.example" },
      /^a\.txt:2: --extra-index-url/,
    ],
    ["an option in constraints", { "requirements.txt": "-c a.txt", "a.txt": "-i https://evil.example" }, /^a\.txt:1: -i /],
    ["a folder in constraints", { "requirements.txt": "-c a.txt", "a.txt": "-e ./x", "x/x.py": "" }, /^a\.txt:1: a constraint/],
    ["a file outside", { "requirements.txt": "-r ../a.txt" }, /^requirements\.txt:1: "\.\.\/a\.txt" leads out of the project/],
    [
      "a file outside, from a folder",
      { "requirements.txt": "-r d/a.txt", "d/a.txt": "\n-r ../../b.txt" },
      /^d\/a\.txt:2: .*out of the project/,
    ],
    ["an absolute file", { "requirements.txt": "-c /etc/passwd" }, /out of the project/],
    ["a folder outside", { "requirements.txt": "-e d/../.." }, /out of the project/],
    ["a wheel outside", { "requirements.txt": "../x-1-py3-none-any.whl" }, /out of the project/],
    ["an address as a file", { "requirements.txt": "-r https://evil.example/r.txt" }, /is not in the source/],
    ["a file that is not there", { "requirements.txt": "\n-r b.txt" }, /^requirements\.txt:2: the file "b\.txt" is not/],
    ["a folder that is not there", { "requirements.txt": "-e libs/x" }, /the folder "libs\/x" is not/],
    ["a wheel that is not there", { "requirements.txt": "./x-1-py3-none-any.whl" }, /the file .* is not/],
    ["an option without its file", { "requirements.txt": "-r" }, /is not in the source/],
  ])("%s", async (_what, files, message) => expect(read(files)).rejects.toThrow(message));

  test("what is not UTF-8", async () => {
    const files = { "requirements.txt": "-r a.txt", "a.txt": Buffer.from("\ufeffsix", "utf16le") };
    await expect(read(files)).rejects.toThrow(/^a\.txt is not UTF-8/);
  });
});

test("as many files as the limit says, and not one more", async () => {
  const chain = (length: number) =>
    Object.fromEntries(Array.from({ length }, (_file, index) => [`r${index}.txt`, index + 1 < length ? `-r r${index + 1}.txt` : "six"]));
  const most = { "requirements.txt": "-r r0.txt", ...chain(MOST_FILES - 1) };
  expect(await texts(most)).toEqual(["six"]);
  await expect(read({ "requirements.txt": "-r r0.txt", ...chain(MOST_FILES) })).rejects.toThrow(/^r48\.txt:1: more than 50 files/);
});

test("as many bytes as the limit says, and not one more", async () => {
  const first = "-r a.txt\n";
  const most = "#".repeat(MOST_BYTES - first.length);
  expect(await texts({ "requirements.txt": first, "a.txt": most })).toEqual([]);
  await expect(read({ "requirements.txt": first, "a.txt": `${most}#` })).rejects.toThrow(/more than 8 MiB/);
  await expect(read({ "requirements.txt": `${most}#`.padEnd(MOST_BYTES + 1, "#") })).rejects.toThrow(/more than 8 MiB/);
});
