// When a handler has ended, whoever asks is told, also about one whose client is gone; and what a handler does with its own answer costs
// no other one.
import http from "node:http";
import { expect, test } from "vitest";
import { call, open, eventually, records } from "./client.ts";
import type { Sandbox } from "./runsc.ts";

const SETTLED = "/.fnctl/v1/settled";

/** The function's `/deaf` goes on for 400 ms, whatever its client does, and prints "deaf done" at its end. */
export function settledCases(get: () => Sandbox): void {
  const ask = (id?: string) => call(get().socket, SETTLED, id === undefined ? {} : { headers: { "x-fnctl-exchange": id } });
  const isDone = (id: string): boolean => records(get()).some((line) => line.r === id && line.m === "deaf done");
  async function leave(id: string): Promise<void> {
    const { request, response } = open(get().socket, "/deaf", { headers: { "x-request-id": id, "x-fnctl-exchange": id } });
    response.catch(() => undefined);
    request.end();
    await eventually(() => records(get()).find((line) => line.r === id && line.m === "deaf begins"), "the handler");
    request.destroy();
  }

  test("the handler of a client that left is told as ended when it has, and not before", async () => {
    await leave("deaf-and-left");
    expect(isDone("deaf-and-left")).toBe(false);
    expect((await ask("deaf-and-left")).status).toBe(204);
    await eventually(() => isDone("deaf-and-left"), "its last line");
    expect((await ask("deaf-and-left")).status).toBe(204);
  });
  test("without a request's id the answer is for all that run", async () => {
    await leave("deaf-one-of-two");
    const other = call(get().socket, "/deaf", { headers: { "x-request-id": "deaf-two-of-two" } });
    await eventually(() => records(get()).find((line) => line.r === "deaf-two-of-two"), "the second handler");
    expect((await ask("nobody-has-this")).status).toBe(204);
    expect(isDone("deaf-one-of-two")).toBe(false);
    expect((await ask()).status).toBe(204);
    await eventually(() => isDone("deaf-one-of-two") && isDone("deaf-two-of-two"), "both last lines");
    expect((await other).text).toBe("late");
  });
}

export function afterAnswerCases(get: () => Sandbox, path: string): void {
  test("what is thrown after a whole answer is in the log, and costs neither the answer nor the connection", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    const once = (target: string): Promise<[string, number, number]> =>
      new Promise((resolve, reject) => {
        const request = http.get({ socketPath: get().socket, path: target, agent, headers: { host: "fn.example.com" } }, (answer) => {
          let text = "";
          answer
            .on("data", (chunk: Buffer) => (text += chunk.toString()))
            .on("error", reject)
            .on("end", () => resolve([text.trimEnd(), text.length, sockets.size]));
        });
        request.on("socket", (socket) => void sockets.add(socket)).on("error", reject);
      });
    for (let i = 1; i <= 5; i += 1) {
      expect(await once(path)).toEqual(["whole", 4_000_000, 1]);
      await eventually(() => records(get()).filter((line) => /after-the-answer/.test(line.m)).length === i, "the log");
    }
    agent.destroy();
  });
}

/** `/late` fails in the middle of its answer, and `/sse` goes on until its client leaves. */
export function streamEndCases(get: () => Sandbox): void {
  test("a stream's handler has ended when its client left", async () => {
    const id = "left-its-stream";
    const { request, response } = open(get().socket, "/sse", { headers: { "x-fnctl-exchange": id } });
    request.end();
    await new Promise((resolve) => void response.then((answer) => answer.on("error", () => undefined).once("data", resolve)));
    let settled = false;
    const asked = call(get().socket, SETTLED, { headers: { "x-fnctl-exchange": id } }).then(({ status }) => {
      settled = true;
      return status;
    });
    await call(get().socket, "/wait");
    expect(settled).toBe(false);
    request.destroy();
    expect(await asked).toBe(204);
  });
  test("a stream that fails midway costs no request beside it", async () => {
    const slow = Array.from({ length: 5 }, () => call(get().socket, "/wait"));
    await expect(call(get().socket, "/late")).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    expect((await Promise.all(slow)).map(({ text }) => text)).toEqual(Array.from({ length: 5 }, () => "waited"));
  });
}
