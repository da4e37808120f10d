// The supervisor in the foreground: Ctrl-C drains, and kill -9 leaves nothing that blocks the next start.
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSettings } from "../../single/src/settings.ts";
import { fnctl } from "./cli.ts";
import { newPlatform, start, stop, type PlatformAccess } from "./platform.ts";
import { until } from "./until.ts";

const SLOW = `export default { async fetch(request) {
  if (request.url.endsWith("/slow")) await new Promise((resolve) => setTimeout(resolve, 2_000));
  return new Response("done");
} };`;
let platform: PlatformAccess;
let runDir: string;
beforeAll(async () => {
  platform = await newPlatform();
  ({ runDir } = readSettings(platform.env));
});
afterAll(async () => {
  await stop(platform);
  await rm(platform.stateDir, { recursive: true });
});

/** Runs `npm run up` as in a terminal. */
async function foreground(): Promise<ChildProcess> {
  const child = spawn("bash", [path.resolve(import.meta.dirname, "../../single/up.sh"), "--no-examples"], {
    env: { ...process.env, ...platform.env },
    stdio: "ignore",
  });
  await until(() => existsSync(path.join(runDir, "ready")), Boolean, 120_000);
  return child;
}
const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.on("close", resolve));
const ask = (target: string) => fetch(`${platform.url}/fn/acme/slow${target}`, { signal: AbortSignal.timeout(20_000) });
async function instances(): Promise<string[]> {
  const { stdout } = await fnctl(["describe", "slow", "--json"], { env: { FNCTL_CONFIG: platform.config } });
  return (JSON.parse(stdout) as { instances: { id: string }[] }).instances.map(({ id }) => id);
}
const alive = (pid: string) => existsSync(`/proc/${pid}`);

async function deploySlow(): Promise<void> {
  const folder = path.join(platform.stateDir, "slow");
  await mkdir(folder);
  await writeFile(path.join(folder, "index.js"), SLOW);
  await writeFile(path.join(folder, "fnctl.yaml"), "name: slow\nruntime: node24\naccess: public\n");
  const { code, stderr } = await fnctl(["deploy"], { cwd: folder, env: { FNCTL_CONFIG: platform.config } });
  if (code !== 0) throw new Error(stderr);
}

test("Ctrl-C lets a running request end, then everything", async () => {
  const supervisor = await foreground();
  await deploySlow();
  const running = ask("/slow");
  await new Promise((resolve) => setTimeout(resolve, 500));
  supervisor.kill("SIGINT");
  expect(await (await running).text()).toBe("done");
  expect(await ended(supervisor)).toBe(0);
  await expect(ask("/")).rejects.toThrow(/fetch failed/);
});

test("kill -9 ends the parts, not the sandboxes; the next start takes those over", async () => {
  const supervisor = await foreground();
  expect(await (await ask("/")).text()).toBe("done");
  const before = await instances();
  expect(before).toHaveLength(1);
  const parts = readFileSync(`/proc/${supervisor.pid}/task/${supervisor.pid}/children`, "utf8").trim().split(" ");
  expect(parts.length).toBeGreaterThanOrEqual(6);
  supervisor.kill("SIGKILL");
  await until(
    () => parts.filter(alive),
    (left) => left.length === 0,
    30_000,
  );
  await start(platform);
  expect(await (await ask("/")).text()).toBe("done");
  // The instance still runs; it serves again once the lease of the former gateway has expired.
  expect(await instances()).toEqual(expect.arrayContaining(before));
});
