// Functions that fail: what their client is told, what their tenant can look up, and that no other function notices (SECURITY H3).
import { existsSync } from "node:fs";
import { DEATHS } from "@fnctl/control-plane/instances/start/deaths";
import { PIDS_LIMIT } from "@fnctl/control-plane/sandbox/runsc/spec";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { api, call } from "./api.ts";
import { fnctl } from "./cli.ts";
import { cgroupOf, processesIn } from "./cgroups.ts";
import { deployFixture } from "./fixture.ts";
import { withNeighbour } from "./neighbour.ts";

interface Problem {
  code: string;
  detail: string;
  hint?: string;
  requestId: string;
  facts?: { reason?: string };
}
let seen = 0;
/** Calls the failing function at a path that fails in one way, with a request id that the test chooses, as clients may. */
async function fail(way: string): Promise<{ status: number; problem: Problem; requestId: string }> {
  const requestId = `failing-way-${++seen}`;
  const answer = await call("failing", way, { headers: { "x-request-id": requestId } });
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(answer.headers.get("x-request-id")).toBe(requestId);
  return { status: answer.status, problem: (await answer.json()) as Problem, requestId };
}
const instanceId = async (): Promise<string> => ((await (await call("failing", "/id")).json()) as { id: string }).id;
const logs = async (...args: string[]): Promise<string> => (await fnctl(["logs", "failing", ...args])).stdout;
const lastFailure = async () =>
  ((await (await api("GET", "/v1/functions/failing")).json()) as { lastFailure: { reason: string; detail: string } | null }).lastFailure;

beforeAll(async () => {
  await deployFixture("forks", "forks.py", { timeoutMs: 3_000 });
  await deployFixture("neighbour", "echo.js");
});
// Each test gets a new version, because a version whose instances keep ending is started with growing delays.
beforeEach(() => deployFixture("failing", "failing.js", { memoryMib: 128, timeoutMs: 1_500, max: 2 }));
afterAll(async () => {
  for (const name of ["failing", "forks", "neighbour"]) await api("DELETE", `/v1/functions/${name}`);
});

describe("a handler that throws", () => {
  test("answers 500 without its inside, and its owner finds the stack by the request's id", async () => {
    const before = await instanceId();
    const { status, problem, requestId } = await fail("/throw");
    expect(status).toBe(500);
    expect(problem.code).toBe("FUNCTION_ERROR");
    expect(JSON.stringify(problem)).not.toContain("cupboard");
    await expect
      .poll(() => logs("--request-id", requestId), { timeout: 10_000 })
      .toMatch(/TypeError: the cupboard is bare[^]*index\.js:\d+/);
    expect(await instanceId()).toBe(before); // an error does not end the instance
  });

  test("ends the instance when nobody catches it; the log has its stack", async () => {
    const { status, problem } = await fail("/reject-later");
    expect([status, problem.code]).toEqual([502, "FUNCTION_CRASHED"]);
    await expect.poll(() => logs(), { timeout: 10_000 }).toContain("nobody caught this");
  });
});

describe("a handler that never answers", () => {
  test.each(["/hang", "/spin"])("gets 504 on %s, and its instance is not used again", async (way) => {
    const before = await instanceId();
    const { status, problem } = await fail(way);
    expect([status, problem.code]).toEqual([504, "FUNCTION_TIMEOUT"]);
    expect(problem.hint).toContain("fnctl logs");
    expect(await instanceId()).not.toBe(before);
    expect((await lastFailure())?.reason).toBe("timeout");
    const ids = async () =>
      ((await (await api("GET", "/v1/functions/failing")).json()) as { instances: { id: string }[] }).instances.length;
    await expect.poll(ids, { timeout: 15_000 }).toBe(1); // the lost instance is gone after its grace period
  });
});

describe("an instance that ends", () => {
  test.each([
    ["by itself", "/exit"],
    ["for want of memory", "/memory"],
  ])("%s: 502 with the next command, a failure in describe, and the next request is served", async (_why, way) => {
    const { status, problem } = await fail(way);
    expect([status, problem.code]).toEqual([502, "FUNCTION_CRASHED"]);
    expect(problem.hint).toMatch(/fnctl logs.*fnctl describe/);
    const describeText = async () => (await fnctl(["describe", "failing"])).stdout;
    await expect.poll(describeText, { timeout: 10_000 }).toMatch(/last failure +\d{4}-\S+ v\d+ (exited|oom|broken)/);
    expect((await call("failing", "/id")).status).toBe(200);
  });

  test.each([
    ["/exit", "exited", /ended by itself/],
    ["/memory", "oom", /128 MiB of memory/],
  ])("%s leaves its reason, %s, with the client, in describe and in the log", async (way, reason, detail) => {
    for (let i = 0; i < DEATHS.free; i++) {
      const { problem } = await fail(way);
      expect(problem.facts).toEqual({ reason });
      await expect.poll(lastFailure, { timeout: 10_000 }).toMatchObject({ reason, detail: expect.stringMatching(detail) });
    }
    await expect.poll(() => logs(), { timeout: 10_000 }).toMatch(new RegExp(`\\[platform\\].*${detail.source}`));
  });

  test("invoke --fail leaves with 8 and names the request", async () => {
    const invoked = await fnctl(["invoke", "failing", "--path", "/exit", "--fail"]);
    expect(invoked.code).toBe(8);
    const id = /request: (\S+)/.exec(invoked.stderr)?.[1];
    expect(id).toBeDefined();
    expect(invoked.stderr).toContain(`fnctl logs failing --request-id ${id}`);
  });
});

describe("a function that takes what it can", () => {
  test("fills /tmp: ENOSPC at its limit, and a neighbour answers all the while", async () => {
    const { value, bad } = await withNeighbour("neighbour", () => call("failing", "/fill").then((answer) => answer.json()));
    expect(value).toMatchObject({ code: "ENOSPC" });
    expect((value as { mib: number }).mib).toBeLessThanOrEqual(64); // /tmp holds at most half of the instance's memory
    expect(bad).toEqual([]);
  });

  test("forks without end: the kernel stops it at its limit of processes, and a neighbour answers all the while", async () => {
    const cgroup = await cgroupOf("forks");
    let most = 0;
    const { served, bad } = await withNeighbour("neighbour", async () => {
      const over = call("forks", "/bomb").then((answer) => answer.text());
      for (let i = 0; i < 60; i++) {
        most = Math.max(most, processesIn(cgroup));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await over;
    });
    expect(bad).toEqual([]);
    expect(served).toBeGreaterThan(20);
    expect(most).toBeGreaterThan(50); // shows that it did fork
    expect(most).toBeLessThanOrEqual(PIDS_LIMIT);
    await expect.poll(() => existsSync(cgroup), { timeout: 15_000 }).toBe(false); // the instance is stopped after the 504
    expect((await call("forks", "/")).status).toBe(200);
  });
});
