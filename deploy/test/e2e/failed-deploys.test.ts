// Deploys that fail: each gives an exit code, a cause that the user understands and the next command, and the live version stays live.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { call } from "./api.ts";
import { fnctl, type CliResult } from "./cli.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** Runs `fnctl deploy` in a folder with these files. */
function deployFolder(name: string, files: Record<string, string>, settings = "runtime: node24"): Promise<CliResult> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "fnctl-e2e-deploy-"));
  folders.push(folder);
  writeFileSync(path.join(folder, "fnctl.yaml"), `name: ${name}\n${settings}\n`);
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(folder, file), text);
  return fnctl(["deploy"], { cwd: folder });
}
const PYTHON = "runtime: python3.13";

describe("a build that fails leaves with 6", () => {
  test("syntax error: file, line and column", async () => {
    const result = await deployFolder("bad-syntax", { "index.js": "export default () => {\n  return new Response('hi';\n};\n" });
    expect(result.code).toBe(6);
    expect(result.stdout).toBe("");
    expect(result.stderr).toMatch(/error BUILD_FAILED: [^]*index\.js:2:\d+/);
    expect(result.stderr).toMatch(/next: {4}\S/);
  });

  test("missing package: its name and where it is imported", async () => {
    const result = await deployFolder("no-package", {
      "index.js": 'import leftPad from "left-pad";\nexport default () => new Response(leftPad);\n',
    });
    expect(result.code).toBe(6);
    expect(result.stderr).toContain("left-pad");
    expect(result.stderr).toMatch(/index\.js:1/);
  });

  test("Python syntax error: file and line", async () => {
    const result = await deployFolder("bad-python", { "main.py": "def handler(event, context:\n    return {}\n" }, PYTHON);
    expect(result.code).toBe(6);
    expect(result.stderr).toMatch(/main\.py(?::|", line )1/);
  });

  test("no handler file: the names that are tried", async () => {
    const result = await deployFolder("nothing", { "readme.txt": "hello" });
    expect(result.code).toBe(6);
    expect(result.stderr).toContain("index.");
  });
});

describe("a version that cannot be loaded leaves with 7", () => {
  test("import that throws: the user's own stack, and no frame of the platform", async () => {
    const files = {
      "index.js": 'import "./settings.js";\nexport default () => new Response();\n',
      "settings.js": 'function read() {\n  throw new Error("no settings here");\n}\nread();\n',
    };
    const result = await deployFolder("throws", files);
    expect(result.code).toBe(7);
    expect(result.stderr).toMatch(/error INIT_FAILED: [^]*no settings here[^]*settings\.js:2/);
    expect(result.stderr).not.toMatch(/node:internal|bootstrap/);
    expect(result.stderr).toContain("next:    fnctl logs throws");
  });

  test("Python import that throws", async () => {
    const result = await deployFolder(
      "throws-python",
      { "main.py": 'def read():\n    raise ValueError("no settings here")\n\nread()\n' },
      PYTHON,
    );
    expect(result.code).toBe(7);
    expect(result.stderr).toMatch(/main\.py", line 2[^]*ValueError: no settings here/);
    expect(result.stderr).not.toContain("fnctl_bootstrap");
  });

  test.each<[string, string, string, string, RegExp]>([
    ["process.exit", "index.js", "process.exit(3);\n", "node24", /process\.exit\(3\) while it was loaded/],
    ["sys.exit", "main.py", "import sys\nsys.exit(3)\n", "python3.13", /sys\.exit\(3\) while it was loaded/],
    [
      "os._exit",
      "main.py",
      "print('opening the cupboard')\nimport os, time\ntime.sleep(0.2)\nos._exit(3)\n",
      "python3.13",
      /process ended[^]*opening the cupboard/,
    ],
    [
      "a signal",
      "index.js",
      "console.log('opening the cupboard'); await new Promise((done) => setTimeout(done, 200)); process.kill(process.pid, 'SIGKILL');\n",
      "node24",
      /process ended[^]*opening the cupboard/,
    ],
    [
      "too much memory",
      "index.js",
      "console.log('opening the cupboard'); const all = []; for (;;) all.push(Buffer.alloc(2 ** 20, 1));\n",
      "node24\nmemory: 128",
      /out of memory[^]*128 MiB[^]*opening the cupboard/,
    ],
  ])("import that ends by %s: which it was, and what was printed last", async (_what, file, text, runtime, message) => {
    const result = await deployFolder("ends-while-loading", { [file]: text }, `runtime: ${runtime}`);
    expect([result.code, result.stderr]).toEqual([7, expect.stringMatching(message)]);
  });

  test("module without a handler: what it exports instead", async () => {
    const result = await deployFolder("no-handler", { "index.js": "export const colour = 'red';\n" });
    expect(result.code).toBe(7);
    expect(result.stderr).toContain("it exports colour");
  });
});

test("what was live stays live through every failure", async () => {
  const good = { "index.js": 'export default () => new Response("one");\n' };
  expect((await deployFolder("steadfast", good)).code).toBe(0);
  expect((await deployFolder("steadfast", { "index.js": "throw new Error('two');" })).code).toBe(7);
  expect((await deployFolder("steadfast", { "index.js": "export default (" })).code).toBe(6);
  expect(await (await call("steadfast")).text()).toBe("one");
});

test("mistakes in fnctl.yaml leave with 2, all at once, with their places", async () => {
  const result = await deployFolder("wrong", { "index.js": "" }, "runtime: node99\nmemory: 7\ntimeuot: 3s");
  expect(result.code).toBe(2);
  for (const place of ["fnctl.yaml:2:", "fnctl.yaml:3:", "fnctl.yaml:4:"]) expect(result.stderr).toContain(place);
  expect(result.stderr).toContain("timeout"); // the error suggests the setting with the nearest name
});
