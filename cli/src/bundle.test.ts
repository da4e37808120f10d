// Tests the bundle as users get it: one file, run by the oldest supported Node.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createApiDouble, TOKEN, type ApiDouble } from "./testing/api-double.ts";
import { folderWith } from "./testing/run-cli.ts";

const run = promisify(execFile);

/** A `node` of version 20 on PATH; the tests run on a newer one. */
async function findNode20(): Promise<string | undefined> {
  const places = (process.env["PATH"] ?? "").split(path.delimiter).map((folder) => path.join(folder, "node"));
  for (const candidate of places.filter((place) => existsSync(place))) {
    const { stdout } = await run(candidate, ["--version"]);
    if (stdout.startsWith("v20.")) return candidate;
  }
  return undefined;
}
const node20 = await findNode20();
if (node20 === undefined) console.warn("skipped: the bundle on Node 20; there is no Node 20 on PATH");
let file: string;
let api: ApiDouble;

beforeAll(async () => {
  file = path.join(await mkdtemp(path.join(tmpdir(), "fnctl-bundle-")), "fnctl.mjs");
  const banner = "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";
  await build({
    entryPoints: [path.join(import.meta.dirname, "main.ts")],
    outfile: file,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    banner: { js: banner },
    logLevel: "silent",
  });
  api = await createApiDouble();
});
afterAll(() => api.close());

const nodes = [{ title: "this Node", node: process.execPath }, ...(node20 === undefined ? [] : [{ title: "Node 20", node: node20 }])];

test.each(nodes)("deploy, invoke and a failure on $title", async ({ node }) => {
  const cwd = await folderWith({ "fnctl.yaml": "name: hello\nruntime: node24\n", "index.js": "" });
  const env = { PATH: process.env["PATH"], HOME: cwd, FNCTL_URL: api.url, FNCTL_TOKEN: TOKEN };
  const fnctl = (...args: string[]) => run(node, [file, ...args], { cwd, env });
  expect((await fnctl("deploy")).stdout).toBe("http://hello--acme.example.com/\n");
  expect((await fnctl("invoke", "-d", "x")).stdout).toBe("POST /fn/acme/hello/ x");
  await expect(fnctl("describe", "nope")).rejects.toMatchObject({ code: 4, stdout: "" });
});

test("the completion script for bash completes commands", async () => {
  const { stdout } = await run(process.execPath, [file, "completion", "bash"]);
  const script = `${stdout}\nCOMP_WORDS=(fnctl ro); COMP_CWORD=1; _fnctl; echo "\${COMPREPLY[@]}"; COMP_WORDS=(fnctl tokens ""); COMP_CWORD=2; _fnctl; echo "\${COMPREPLY[@]}"`;
  const completed = await run("bash", ["-c", script]);
  expect(completed.stdout).toBe("rollback\nls create revoke\n");
});
