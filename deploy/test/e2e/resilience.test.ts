// Any one process may die at any time: nothing that was acknowledged is lost, and warm requests are still served.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { api, call, deploy } from "./api.ts";
import { database } from "./database.ts";
import { killAndWait, pidOf } from "./processes.ts";

const SOURCE = `let n = 0; export default async (request) => { console.log("served", ++n); return Response.json({ n, pid: process.pid, started: globalThis.started ??= Date.now() }); };`;
const started = async (): Promise<number> => ((await (await call("steady")).json()) as { started: number }).started;

/** "200" for a complete answer, otherwise its status and text or the error. */
async function outcome(): Promise<string> {
  try {
    const answer = await call("steady");
    const text = await answer.text();
    return answer.ok ? "200" : `${answer.status} ${text}`;
  } catch (error) {
    return String(error);
  }
}

/** Calls without pause while \`work\` runs; returns every outcome that was not 200. */
async function underTraffic(work: () => Promise<void>): Promise<{ served: number; bad: string[] }> {
  let running = true;
  let served = 0;
  const bad: string[] = [];
  const client = async () => {
    while (running) {
      const status = await outcome();
      if (status === "200") served++;
      else bad.push(status);
    }
  };
  const clients = [client(), client()];
  await work();
  // Waits for a number of requests and not for a time, because a loaded machine serves fewer in the same time.
  const before = served + bad.length;
  while (served + bad.length < before + 20) await new Promise((resolve) => setTimeout(resolve, 50));
  running = false;
  await Promise.all(clients);
  return { served, bad };
}

beforeAll(async () => {
  const build = await deploy("steady", { "index.js": SOURCE }, { min: 1, concurrency: 10 });
  if (build.state !== "succeeded") throw new Error(`steady: ${JSON.stringify(build)}`);
  await call("steady");
});
afterAll(async () => {
  await api("DELETE", "/v1/functions/steady"); // its minimum of instances must not take resources from other tests
});

describe("kill -9", () => {
  test.each(["control-plane", "driver", "egress", "log-collector"])("of the %s costs no warm request", async (part) => {
    const before = await started();
    const { served, bad } = await underTraffic(() => killAndWait(part));
    expect(bad).toEqual([]);
    expect(served).toBeGreaterThan(10);
    expect(await started()).toBe(before); // the same instance was taken over, not replaced
  });

  test("of Postgres costs no warm request, and the API comes back", async () => {
    const { served, bad } = await underTraffic(() => killAndWait("postgres"));
    expect(bad).toEqual([]);
    expect(served).toBeGreaterThan(10);
    await expect.poll(async () => (await api("GET", "/v1/functions")).status, { timeout: 20_000 }).toBe(200);
  });

  test("of every connection to Postgres, again and again while deploys are sent, ends no part of the platform", async () => {
    const before = pidOf("control-plane");
    let done = false;
    const cutting = database(async (sql) => {
      while (!done) {
        await sql.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'fnctl\\_%'");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    const codes = new Set<string>();
    for (let turn = 0; turn < 40; turn++) {
      const answer = await api("GET", turn % 2 === 0 ? "/v1/functions" : "/v1/functions/steady");
      codes.add(answer.status === 200 ? "200" : ((await answer.json()) as { code: string }).code);
    }
    done = true;
    await cutting;
    expect([...codes].filter((code) => code !== "200" && code !== "UNAVAILABLE")).toEqual([]);
    expect(pidOf("control-plane")).toBe(before);
    await expect.poll(async () => (await api("GET", "/v1/functions")).status, { timeout: 20_000 }).toBe(200);
  });

  test("of the gateway: it serves again at once, and what ran is not lost for ever", async () => {
    await killAndWait("gateway");
    await expect
      .poll(
        () =>
          call("steady").then(
            (answer) => answer.status,
            () => 0,
          ),
        { timeout: 30_000 },
      )
      .toBe(200);
  });

  test("of the control plane during a build: the build still comes to its end", async () => {
    const building = deploy("survivor", { "index.js": SOURCE, "pad.txt": String(Math.random()) }).catch((error: unknown) => String(error));
    const accepted = async () =>
      ((await (await api("GET", "/v1/functions/survivor/versions")).json()) as { items?: unknown[] }).items?.length;
    await expect.poll(accepted, { timeout: 10_000, interval: 10 }).toBe(1);
    await killAndWait("control-plane");
    await building; // the event stream may have broken off
    const state = async () => {
      const answer = await api("GET", "/v1/functions/survivor/versions");
      return answer.ok ? ((await answer.json()) as { items: { build: { state: string } }[] }).items[0]?.build.state : answer.status;
    };
    await expect.poll(state, { timeout: 60_000, interval: 500 }).toBe("succeeded");
    await expect.poll(async () => (await call("survivor")).status, { timeout: 5_000 }).toBe(200); // the gateway learns of it a moment later
  });

  test("of the log collector: lines written meanwhile arrive", async () => {
    process.kill(pidOf("log-collector")!, "SIGKILL");
    await call("steady", "/", { headers: { "x-request-id": "while-collector-is-away" } });
    await expect
      .poll(async () => (await api("GET", "/v1/functions/steady/logs?requestId=while-collector-is-away")).text(), { timeout: 15_000 })
      .toContain("served");
  });
});
