import { describe, expect, test } from "vitest";
import { cacheDir, findRunsc } from "../base/find-runsc.ts";
import { prepareRootfs } from "../base/prepare.ts";
import { runCases } from "./cases.ts";
import { call, eventually, init, open, records, untilIdle } from "./client.ts";
import { nodeFunctions } from "./node-functions.ts";
import { startNodeProcess } from "./node-process.ts";
import { startSandbox } from "./runsc.ts";

const kinds = { web: "fetch", lambda: "lambda", classic: "listener" };

runCases("Node", { start: startNodeProcess, functions: nodeFunctions, runtime: "node24", kinds, raises: "classic" });

const { binary, missing } = findRunsc();
if (missing === undefined) {
  const start = async (): ReturnType<typeof startSandbox> =>
    startSandbox({ runsc: binary, rootfs: await prepareRootfs("node24", { cacheDir: cacheDir() }) });
  runCases("Node in gVisor", { start, functions: nodeFunctions, runtime: "node24", kinds, raises: "classic" });
} else {
  test.skip(`Node in gVisor: ${missing}`, () => undefined);
}

describe("Node only", () => {
  const classic = async (body: (socket: string) => Promise<void>, concurrency?: number): Promise<void> => {
    const sandbox = await startNodeProcess();
    try {
      await untilIdle(sandbox);
      await init(sandbox, nodeFunctions.classic, undefined, concurrency);
      await body(sandbox.socket);
    } finally {
      await sandbox.stop();
    }
  };
  /** Whether the end of a listener is told that stops when its client leaves, and calls nothing; within twice the time that it has for that. */
  const isTold = async (socket: string): Promise<boolean> => {
    const headers = { "x-fnctl-exchange": "ticks-1" };
    const { request, response } = open(socket, "/ticks", { headers });
    request.end();
    (await response).on("error", () => undefined).once("data", () => request.destroy());
    const asked = call(socket, "/.fnctl/v1/settled", { headers }).then(({ status }) => status === 204);
    return Promise.race([asked.catch(() => false), new Promise<boolean>((resolve) => setTimeout(resolve, 2_000, false))]);
  };
  test("a listener that stops when its client leaves, and does not end its answer, has ended a moment later", () =>
    classic(async (socket) => expect(await isTold(socket)).toBe(true)));
  test("but not where one request is served at a time", () => classic(async (socket) => expect(await isTold(socket)).toBe(false), 1));
  test("trailers of a listener pass", () =>
    classic(async (socket) => {
      expect((await call(socket, "/trailers")).trailers).toEqual({ "x-sum": "42" });
    }));
  test("103 Early Hints of a listener pass", () =>
    classic(async (socket) => {
      const { request, response } = open(socket, "/hints");
      const hints = new Promise((resolve) => request.once("information", resolve));
      request.end();
      expect(await hints).toMatchObject({ statusCode: 103, headers: { link: "</a.css>; rel=preload" } });
      (await response).resume();
    }));
  test.each([
    ["/late-first", ""],
    ["/late-native", "first"],
  ])("a stream that fails, %s, is cut where it failed, logged once and not sent", async (path, sent) => {
    const sandbox = await startNodeProcess();
    await untilIdle(sandbox);
    await init(sandbox, nodeFunctions.web);
    const { request, response } = open(sandbox.socket, path, { headers: { "x-request-id": "late-stream" } });
    request.end();
    const incoming = await response;
    let text = "";
    incoming.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await expect(new Promise((resolve, reject) => incoming.once("end", resolve).once("error", reject))).rejects.toThrow();
    expect(text).toBe(sent);
    const mine = () => records(sandbox).filter((line) => line.r === "late-stream");
    await eventually(() => mine().length > 0 || undefined, "the stack");
    await call(sandbox.socket, "/");
    expect(mine()).toEqual([expect.objectContaining({ l: "error", m: expect.stringContaining("late-boom") })]);
    await sandbox.stop();
  });
  test("a handler of the function's own for what nobody caught decides while it is loaded, too", async () => {
    const sandbox = await startNodeProcess();
    await untilIdle(sandbox);
    const source =
      'process.on("uncaughtException", () => console.log("mine"));\nsetTimeout(() => { throw new Error("beside"); }, 5);\nawait new Promise((done) => setTimeout(done, 50));\nexport default () => new Response("loaded");\n';
    expect((await init(sandbox, { file: "own.mjs", source })).status).toBe(200);
    expect((await call(sandbox.socket, "/")).text).toBe("loaded");
    await sandbox.stop();
  });
  test("an unhandled rejection is logged and ends the process", async () => {
    const sandbox = await startNodeProcess();
    await untilIdle(sandbox);
    await init(sandbox, nodeFunctions.web);
    await call(sandbox.socket, "/crash");
    expect(await sandbox.exited).toBe(1);
    const record = await eventually(() => records(sandbox).find((line) => line.m.includes("left-alone")), "the stack");
    expect(record).toMatchObject({ l: "error" });
    await sandbox.stop();
  });
});
