// Requirement lines as pip and uv write them, and those that must not reach uv.
import { describe, expect, test } from "vitest";
import { normalName, parseRequirementLine, type RequirementLine } from "./requirement-line.ts";

const parse = (text: string): RequirementLine => parseRequirementLine(text, { file: "requirements.txt", line: 7 });
const HEX = "a".repeat(64);

describe("a package goes on as what it was understood to be", () => {
  test.each([
    ["flask", "flask"],
    ["Flask == 3.1.0", "Flask==3.1.0"],
    ["uvicorn [standard, x] >= 0.30 , < 1 ", "uvicorn[standard, x]>=0.30,<1"],
    ["flask (>=3)", "flask(>=3)"],
    ["torch===2.5.0+cpu", "torch===2.5.0+cpu"],
    ["django~=5.1,!=5.1.2,==5.*", "django~=5.1,!=5.1.2,==5.*"],
    [
      `pywin32==308 ; sys_platform == "win32" and (python_version < '3.9')`,
      `pywin32==308 ; sys_platform == "win32" and (python_version < '3.9')`,
    ],
    [`click==8.1\t--hash=sha256:${HEX}   --hash sha512:${HEX}`, `click==8.1 --hash=sha256:${HEX} --hash=sha512:${HEX}`],
    ["x @ https://files.example/a/x-1-py3-none-any.whl", "x @ https://files.example/a/x-1-py3-none-any.whl"],
    [`https://files.example/x_y-1-py3-none-any.whl#sha256=${HEX}`, `x_y @ https://files.example/x_y-1-py3-none-any.whl#sha256=${HEX}`],
  ])("%s", (text, expected) => expect(parse(text)).toMatchObject({ kind: "package", text: expected }));

  test("names that are the same package", () => {
    expect(["My_Pkg", "my-pkg", "my.PKG", "my-_-pkg"].map(normalName)).toEqual(["my-pkg", "my-pkg", "my-pkg", "my-pkg"]);
  });
});

test.each([
  ["-e .", { path: ".", extras: [] }],
  ["-e .[dev,test]", { path: ".", extras: ["dev", "test"] }],
  ["--editable=./libs/x", { path: "./libs/x", extras: [] }],
  ["-e libs", { path: "libs", extras: [] }],
  ["-e file:libs/x#egg=x", { path: "libs/x", extras: [] }],
  ["./libs/x", { path: "./libs/x", extras: [] }],
  ["libs/x", { path: "libs/x", extras: [] }],
  ["x[a] @ file:///srv/x", { path: "/srv/x", extras: ["a"] }],
  ["-e '../x'", { path: "../x", extras: [] }],
])("%s is a folder", (text, expected) => expect(parse(text)).toEqual({ kind: "folder", ...expected }));

test.each([
  ["./vendor/x_y-1-py3-none-any.whl", { path: "./vendor/x_y-1-py3-none-any.whl", head: "x_y", tail: "" }],
  ["x-1-py3-none-any.whl", { path: "x-1-py3-none-any.whl", head: "x", tail: "" }],
  [
    `vendor/x-1-py3-none-any.whl[a] ; python_version>"3" --hash=sha256:${HEX}`,
    { head: "x[a]", tail: ` ; python_version>"3" --hash=sha256:${HEX}` },
  ],
  ["y @ ./vendor/x-1-py3-none-any.whl", { head: "y" }],
])("%s is a wheel", (text, expected) => expect(parse(text)).toMatchObject({ kind: "wheel", ...expected }));

test.each([
  ["-r more.txt", { kind: "file", of: "requirements", path: "more.txt" }],
  ["-rmore.txt", { kind: "file", of: "requirements", path: "more.txt" }],
  ["--requirement=more.txt", { kind: "file", of: "requirements", path: "more.txt" }],
  ["-c pins.txt", { kind: "file", of: "constraints", path: "pins.txt" }],
  ["--constraint  pins.txt", { kind: "file", of: "constraints", path: "pins.txt" }],
  ["--require-hashes", { kind: "hashes" }],
  ["--only-binary :all:", { kind: "nothing" }],
  ["--prefer-binary", { kind: "nothing" }],
])("%s", (text, expected) => expect(parse(text)).toEqual(expected));

test.each([
  ["--extra-index-url https://evil.example/simple", /--extra-index-url names a package index/],
  ["--index-url=https://evil.example/simple", /--index-url names a package index/],
  ["-i https://evil.example/simple", /-i names a package index/],
  ["-ihttps://evil.example/simple", /-i names a package index/],
  ["-f ./wheels", /-f names a package index/],
  ["--no-binary :all:", /"--no-binary" is not an option/],
  ["--no-build-isolation", /"--no-build-isolation" is not an option/],
  ["--pre", /"--pre" is not an option/],
  ["-", /"-" is not an option/],
  ["--extra-index", /"--extra-index" is not an option/],
  ["flask --config-settings=a=b", /"--config-settings=a=b" is not read/],
  ["flask --hash=md5:abc", /"--hash=md5:abc" is not read/],
  ["flask -e ./evil", /is not understood/],
  ["flask\u000c-e\u000c./evil", /is not understood|is not a path/],
  ["flask=3", /is not understood/],
  ["flask ; os.name == 'a' # $(x)", /not a condition/],
  ["-e git+https://github.com/a/b.git@main#egg=b", /is a repository/],
  ["b @ git+ssh://git@github.com/a/b", /is a repository/],
  ["https://files.example/x-1.tar.gz", /not a wheel behind https/],
  ["x @ http://files.example/x-1-py3-none-any.whl", /not a wheel behind https/],
  ["x @ https://user:pass@files.example/x-1-py3-none-any.whl", /not a wheel behind https/],
  ["x @ https://files.example/${HTTPS_PROXY}/x-1-py3-none-any.whl", /variables are not replaced/],
  ["./vendor/x-1.tar.gz", /would have to be built/],
  ["vendor\\x-1-py3-none-any.whl", /is not a path|is not understood/],
  ["./libs/x ; sys_platform == 'win32'", /no condition/],
  // uv would read another path and a fragment here, and ignore the rest of the line.
  ["./x@file:..%2Fsource%2Fpkg#a-1.whl", /is not the name of a wheel/],
  ["-e ./x@git+file:..%2Fsource#a-1.whl", /is not the name of a wheel/],
  ["https://files.example/x!y-1-py3-none-any.whl", /is not the name of a wheel/],
])("%s is refused with its place", (text, message) => {
  expect(() => parse(text)).toThrow(message);
  expect(() => parse(text)).toThrow(/^requirements\.txt:7: /);
});
