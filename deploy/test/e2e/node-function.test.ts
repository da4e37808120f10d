// The shortest path through the whole platform: upload, build in a sandbox, image, roll-out, an answer from gVisor.
import { describe, expect, test } from "vitest";
import { api, call, deploy } from "./api.ts";

const HELLO = `
import { readFileSync } from "node:fs";
export default { async fetch(request: Request): Promise<Response> {
  console.log("path is", new URL(request.url).pathname);
  return Response.json({ path: new URL(request.url).pathname, kernel: readFileSync("/proc/version", "utf8"), uid: process.getuid() });
} };`;

describe("a Node function, deployed, built and invoked", () => {
  test("answers from a gVisor sandbox as an unprivileged user", async () => {
    const end = await deploy("hello", { "index.ts": HELLO });
    expect(end.state).toBe("succeeded");
    expect(end.imageDigest).toMatch(/^sha256:[0-9a-f]{64}$/);
    const answer = await call("hello", "/abc");
    expect(answer.status).toBe(200);
    const body = (await answer.json()) as { path: string; kernel: string; uid: number };
    expect(body.path).toBe("/abc");
    expect(body.kernel).toContain("gvisor");
    expect(body.uid).toBeGreaterThanOrEqual(10_000);
  });

  test("its log names the request", async () => {
    const answer = await call("hello", "/logged", { headers: { "x-request-id": "e2e-request-0001" } });
    expect(answer.headers.get("x-request-id")).toBe("e2e-request-0001");
    await expect
      .poll(async () => (await api("GET", "/v1/functions/hello/logs?requestId=e2e-request-0001")).text(), { timeout: 10_000 })
      .toContain("path is /logged");
  });

  test("the same source gives the same image", async () => {
    const first = await deploy("twin", { "index.ts": HELLO });
    const second = await deploy("twin", { "index.ts": HELLO });
    expect(second.version).toBe(first.version + 1);
    expect(second.imageDigest).toBe(first.imageDigest);
  });

  test("code that does not compile is a failed build with its place", async () => {
    const end = await deploy("broken", { "index.ts": "export default {\n  fetch( {\n" });
    expect(end.state).toBe("failed");
    expect(end.problem?.code).toBe("BUILD_FAILED");
    expect(end.problem?.detail).toMatch(/index\.ts:\d+:\d+/);
  });

  test("an import that throws fails the roll-out and leaves the live version alone", async () => {
    const end = await deploy("hello", { "index.ts": "throw new Error('not today');" });
    expect(end.state).toBe("failed");
    expect(end.problem?.code).toBe("INIT_FAILED");
    expect(end.problem?.facts?.stack).toContain("not today");
    expect((await call("hello")).status).toBe(200);
  });
});
