// The whole way on a real cluster: installed by the chart, deployed with the CLI, built in a gVisor pod, answered from a gVisor pod.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { request } from "undici";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { TENANT, createPlatformHost, type PlatformHost } from "./platform-host.ts";

const CLI = path.resolve(import.meta.dirname, "../../../cli/src/main.ts");
let platform: PlatformHost;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fnctl-cluster-cli-"));
  platform = await createPlatformHost(inject("cluster"));
}, 300_000);
afterAll(async () => {
  await (platform as PlatformHost | undefined)?.close(); // undefined when it did not come up
  await rm(folder, { recursive: true, force: true });
});

/** `fnctl deploy` of one folder; rejects with what it prints when it fails. */
async function deploy(name: string, files: Record<string, string>): Promise<string> {
  const own = await mkdtemp(path.join(folder, `${name}-`));
  for (const [file, text] of Object.entries(files)) await writeFile(path.join(own, file), text);
  const env = { PATH: process.env["PATH"], HOME: folder, NO_COLOR: "1", FNCTL_URL: platform.url, FNCTL_TOKEN: platform.token };
  const child = spawn(process.execPath, [CLI, "deploy"], { cwd: own, env });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) {
    const log = await platform.kubectl(["logs", "-n", platform.namespace, "deploy/fnctl-control-plane", "--tail=20"]);
    throw new Error(`deploy of ${name}: ${String(code)}\n${text}\n${log}`);
  }
  return text;
}

async function call(name: string, where = "/"): Promise<{ status: number; text: string }> {
  const headers = { host: `${name}--${TENANT}.${platform.domain}`, authorization: `Bearer ${platform.token}` };
  const answer = await request(`${platform.url}${where}`, { headers });
  return { status: answer.statusCode, text: await answer.body.text() };
}

const HELLO = `
import { readFileSync } from "node:fs";
export default { fetch: () => Response.json({ kernel: readFileSync("/proc/version", "utf8"), uid: process.getuid(), env: Object.keys(process.env) }) };
`;

test("deploy, build and invoke: the answer comes from gVisor, from an unprivileged user who knows nothing of the cluster", async () => {
  await deploy("hello", { "fnctl.yaml": "name: hello\nruntime: node24\n", "index.js": HELLO });
  const answer = await call("hello");
  expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
  const seen = JSON.parse(answer.text) as { kernel: string; uid: number; env: string[] };
  expect(seen.kernel).toContain("gvisor");
  expect(seen.uid).toBe(10_001);
  expect(seen.env.filter((name) => /KUBERNETES|_SERVICE_|TLS/.test(name) && (process.env[name] ?? "") !== "")).toEqual([]);
});
