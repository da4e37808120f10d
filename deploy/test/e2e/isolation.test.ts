// The sandbox seen from inside: a function's ids, the places it may write to, the addresses it can reach, and the settings it gets
// (SECURITY A3-A7, B3, I1).
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { api, call, stateDir, token } from "./api.ts";
import { deployFixture } from "./fixture.ts";
import { runDir } from "./processes.ts";
import { operatorToken } from "./tenants.ts";

interface Inside {
  uid: number;
  gid: number;
  status: string;
  kernel: string;
  processes: number;
  hostname: string;
  devices: string[];
  routes: string;
  writes: Record<string, string>;
  reaches: [string, string][];
  shouts: string[];
  resolves: string[];
  env: Record<string, string>;
  arguments: string[];
  mounts: string;
  sockets: string;
  secrets: boolean;
}
const gateway = Number(
  new URL(((await (await api("GET", "/v1/whoami")).json()) as { endpoint: { publicUrl: string } }).endpoint.publicUrl).port,
);
/** The gateway itself, the machine's own addresses and services, metadata servers, and names outside. */
const TARGETS = [
  { host: "127.0.0.1", port: gateway },
  { host: "127.0.0.1", port: 5432 },
  { host: "169.254.169.254", port: 80 },
  { host: "10.0.0.1", port: 443 },
  { host: "1.1.1.1", port: 443 },
  { host: "::1", port: gateway },
  { host: "fd00:ec2::254", port: 80 },
  { host: "2606:4700:4700::1111", port: 443 },
  { path: `${runDir}/driver/s` },
  { path: `${runDir}/control/internal` },
  { path: `${runDir}/pg/.s.PGSQL.5432` },
];
const READ_ONLY = ["/", "/etc", "/usr/bin", "/opt", "/function", "/function/code", "/var", "/var/tmp", "/root"];
const SCRATCH = ["/tmp", "/dev/shm"];

const told = new Map<string, Inside>();
beforeAll(async () => {
  for (const [name, file] of [
    ["inside-node", "inside.js"],
    ["inside-python", "inside.py"],
  ] as const) {
    await deployFixture(name, file, { env: { OWN_SETTING: "mine" } });
    const body = JSON.stringify({
      targets: TARGETS,
      folders: [...READ_ONLY, ...SCRATCH, "/run/fn/sock"],
      names: ["example.com", "localhost", "metadata.google.internal"],
    });
    const answer = await call(name, "/", { method: "POST", body, headers: { "content-type": "application/json" } });
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
    told.set(name, (await answer.json()) as Inside);
  }
});

describe.each(["inside-node", "inside-python"])("%s", (name) => {
  const inside = (): Inside => told.get(name)!;

  test("runs in gVisor, as nobody in particular and with no way to become somebody", () => {
    const { uid, gid, status, kernel } = inside();
    expect(kernel).toContain("gvisor");
    expect(uid).toBeGreaterThanOrEqual(10_000);
    expect(gid).toBeGreaterThanOrEqual(10_000);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd"]) expect(status).toMatch(new RegExp(`^${set}:\\s+0+$`, "m"));
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
  });

  test("sees its own processes only, and a host name that says nothing", () => {
    expect(inside().processes).toBeLessThanOrEqual(3);
    expect(inside().hostname).toBe("function");
  });

  test("may write to its scratch folders and nowhere else", () => {
    const { writes, mounts } = inside();
    for (const folder of READ_ONLY) expect([folder, writes[folder]]).toEqual([folder, expect.stringMatching(/^(EROFS|EACCES|ENOENT)$/)]);
    // The base image has no other folder that all users may write to, so permissions refuse before the read-only mounts do; the mounts are
    // checked here.
    const options = new Map(mounts.split("\n").map((line) => [line.split(" ")[4] ?? "", line.split(" ")[5] ?? ""]));
    for (const mount of ["/", "/function"])
      expect([mount, options.get(mount)?.split(",")]).toEqual([mount, expect.arrayContaining(["ro"])]);
    for (const folder of SCRATCH) expect([folder, writes[folder]]).toEqual([folder, "done"]);
  });

  test("has a loopback device and reaches nothing", async () => {
    expect((await call("no-such-function")).status).toBe(404); // the gateway's address answers from outside the sandbox
    expect(existsSync(`${runDir}/driver/s`)).toBe(true);
    const { devices, reaches, shouts } = inside();
    expect(devices).toEqual(["lo"]);
    expect(reaches).toHaveLength(TARGETS.length);
    for (const [target, word] of reaches) expect([target, word]).toEqual([target, expect.stringMatching(/^E/)]);
    for (const word of shouts) expect(word).toMatch(/^E/);
    const [outside, , metadata] = inside().resolves;
    for (const address of [outside, metadata]) expect(address).not.toMatch(/^[\d.]+$|^[\da-f:]+$/);
  });

  test("is told its own settings and no secret of the platform", () => {
    const { env, arguments: argv, mounts, sockets, secrets } = inside();
    expect(env["OWN_SETTING"]).toBe("mine");
    expect(secrets).toBe(false);
    const everything = JSON.stringify({ env, argv, mounts, sockets });
    for (const secret of [token(), operatorToken(), readFileSync(`${stateDir}/secrets/internal`, "utf8"), stateDir, runDir, "postgres"])
      expect(everything).not.toContain(secret);
    expect(Object.keys(env).filter((key) => /_SERVICE_HOST$|_PORT$|TOKEN|SECRET|PASSWORD|DATABASE|KUBERNETES/i.test(key))).toEqual([]);
  });
});

test("on the host, each instance runs under a uid of its own that is nobody's", async () => {
  const folders = readdirSync(`${runDir}/i`).filter((id) => existsSync(`${runDir}/i/${id}/meta.json`));
  const uids = folders.map((id) => (JSON.parse(readFileSync(`${runDir}/i/${id}/meta.json`, "utf8")) as { uid: number }).uid);
  expect(uids.length).toBeGreaterThanOrEqual(2);
  expect(new Set(uids).size).toBe(uids.length);
  for (const uid of uids) {
    expect(uid).toBeGreaterThanOrEqual(1_000_000);
    expect(readFileSync("/etc/passwd", "utf8")).not.toContain(`:x:${uid}:`);
  }
});
