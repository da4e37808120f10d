// Platforms that an operator starts and ends: two side by side, one restarted, one with an outside Postgres, one on a port that is taken.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { readSettings } from "../../single/src/settings.ts";
import { startTestPostgres, type TestPostgres } from "../src/test-postgres.ts";
import { call, token } from "./api.ts";
import { examples, fnctl } from "./cli.ts";
import { deployFixture } from "./fixture.ts";
import { newPlatform, runUp, start, stop, type PlatformAccess } from "./platform.ts";
import { commandLine, instancesOf } from "./processes.ts";

/** Runs the CLI with another platform's context. */
const cliOf = (platform: PlatformAccess) => (args: string[], cwd?: string) =>
  fnctl(args, { env: { FNCTL_CONFIG: platform.config }, ...(cwd === undefined ? {} : { cwd }) });
const deployExample = (platform: PlatformAccess) => cliOf(platform)(["deploy"], path.join(examples, "webhook"));

/** Everything on this host that carries the platform's state or run folder or its mark: processes, mounts, cgroups. */
function tracesOf({ env, stateDir }: PlatformAccess): string[] {
  const { runDir, mark } = readSettings(env);
  const own = (text: string) => text.includes(stateDir) || text.includes(runDir) || text.includes(`fnctl-${mark}`);
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter(own)
    .map((line) => `mount ${line.split(" ")[4]}`);
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && own(commandLine(name)));
  const cgroups = ["", ...readdirSync("/sys/fs/cgroup")]
    .map((name) => path.join("/sys/fs/cgroup", name, `fnctl-${mark}`))
    .filter((folder) => existsSync(folder));
  return [...mounts, ...processes.map((pid) => `process ${pid} ${commandLine(pid).replaceAll("\0", " ")}`), ...cgroups];
}
const main = inject("platform");

describe("a second platform on the same machine", () => {
  let second: PlatformAccess;
  beforeAll(async () => {
    second = await newPlatform(); // the second platform has the same tenant name too
    await start(second);
    await deployFixture("beside", "echo.js", { min: 1 });
  });
  afterAll(async () => {
    await stop(second);
    await rm(second.stateDir, { recursive: true });
  });

  test("shares nothing with the first: no function, no token", async () => {
    expect((await deployExample(second)).code).toBe(0);
    expect((await cliOf(second)(["ls"])).stdout).not.toContain("beside");
    expect((await fnctl(["ls"])).stdout).not.toContain("webhook");
    expect((await fetch(`${second.url}/v1/whoami`, { headers: { authorization: `Bearer ${token()}` } })).status).toBe(401);
    // The function itself answers 401, because the request is not signed.
    expect((await fetch(`${second.url}/fn/acme/webhook`, { method: "POST", body: "{}" })).status).toBe(401);
  });

  test("is refused a second time with the same state folder", async () => {
    const again = await runUp(["--detach", "--no-examples"], second.env);
    expect(again.code).toBe(1);
    expect(`${again.stdout}${again.stderr}`).toMatch(/runs already.*npm run down/);
    expect((await cliOf(second)(["whoami"])).code).toBe(0);
  });

  test("ends without a trace, and the first does not notice", async () => {
    await call("beside");
    const before = await instancesOf("beside");
    expect(tracesOf(second)).not.toEqual([]); // the probe works
    await stop(second);
    expect(tracesOf(second)).toEqual([]);
    expect((await call("beside")).status).toBe(200);
    expect(await instancesOf("beside")).toEqual(before);
  });

  test("is up again without building anything, with everything it had", async () => {
    const { stdout } = await start(second); // the benchmark `up` measures the time
    expect(stdout).not.toMatch(/building|importing|unpacking/);
    expect(stdout).not.toContain("shown this once");
    const listed = await cliOf(second)(["ls"]);
    expect([listed.code, listed.stdout]).toEqual([0, expect.stringContaining("webhook")]);
    expect((await fetch(`${second.url}/fn/acme/webhook`, { method: "POST", body: "{}" })).status).toBe(401);
  });
});

test("up says that its port is taken, at once, and leaves nothing running", async () => {
  const blocked = await newPlatform();
  const squatter = net.createServer().listen(blocked.port, "127.0.0.1");
  await new Promise((resolve) => squatter.once("listening", resolve));
  const { code, stdout, stderr } = await runUp(["--detach", "--no-examples"], blocked.env);
  expect(code).toBe(1);
  expect(`${stdout}${stderr}`).toMatch(new RegExp(`${blocked.port}.*(in use|taken)[^]*FNCTL_LISTEN`));
  expect(`${stdout}${stderr}`).not.toContain("gVisor"); // the port is checked before anything is prepared
  expect(tracesOf(blocked)).toEqual([]);
  squatter.close();
  await rm(blocked.stateDir, { recursive: true });
});

test("down says so when nothing runs", async () => {
  const { code, stderr } = await runUp(["--down"], (await newPlatform()).env);
  expect([code, stderr]).toEqual([0, expect.stringContaining("No platform runs")]);
});

test("wrong settings are all named at once", async () => {
  const { code, stderr } = await runUp([], { ...main.env, FNCTL_LISTEN: "everywhere", FNCTL_TENANT: "Not A Slug" });
  expect(code).toBe(1);
  expect(stderr).toMatch(/FNCTL_LISTEN/);
  expect(stderr).toMatch(/FNCTL_TENANT/);
});

describe("with DATABASE_URL", () => {
  let postgres: TestPostgres;
  let outside: PlatformAccess;
  beforeAll(async () => {
    postgres = await startTestPostgres();
    outside = await newPlatform("acme", { DATABASE_URL: postgres.admin });
    await start(outside);
  });
  afterAll(async () => {
    await stop(outside);
    await postgres.stop();
    await rm(outside.stateDir, { recursive: true });
  });

  test("the platform keeps its data in that Postgres and starts none of its own", async () => {
    const deployed = await deployExample(outside);
    expect([deployed.code, deployed.stderr]).toEqual([0, expect.stringContaining("ready")]);
    expect(tracesOf(outside).filter((line) => line.includes("postgres"))).toEqual([]);
    const sql = new pg.Client({ connectionString: postgres.admin });
    await sql.connect();
    const { rows } = await sql.query<{ name: string }>("SELECT name FROM fnctl.function");
    await sql.end();
    expect(rows.map(({ name }) => name)).toEqual(["webhook"]);
  });
});
