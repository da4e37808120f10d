// Calls between two parts of the platform over a real socket: good answers, thrown errors, and the errors that the caller gets.
import { existsSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import { createBearerCheck } from "./authorised.ts";
import { createCaller } from "./call.ts";
import { closeListener, listenUnix, openListener, type OpenListener } from "./listen.ts";
import { serveJson, unexpected, type Answer } from "./serve.ts";

const SECRET = "s".repeat(32);
let folder: string;
let open: OpenListener[];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fn-serve-"));
  open = [];
});
afterEach(async () => {
  await Promise.all(open.map(closeListener));
  await rm(folder, { recursive: true, force: true });
});
const at = (name: string) => path.join(folder, name);

async function between(answer: Answer, more: { secret?: string; timeoutMs?: number; answerCap?: number } = {}) {
  const errors: unknown[] = [];
  const server = http.createServer(
    serveJson(
      answer,
      unexpected((error) => void errors.push(error)),
    ),
  );
  open.push(await openListener(server, { kind: "unix", path: at("s") }, { mode: 0o600 }));
  const dial = { origin: "http://part", connect: { socketPath: at("s") } };
  const caller = createCaller({ dial, who: "The part", hint: "Wait.", connections: 2, timeoutMs: 5_000, ...more });
  return { ...caller, errors };
}
const numbers = z.object({ n: z.number() });
const GET = { method: "GET", path: "/" } as const;

describe("a call", () => {
  test("gets the document, or nothing where there is none", async () => {
    const { ask, close } = await between((request) => (request.method === "GET" ? { body: { n: 1 } } : {}));
    expect(await ask(GET, numbers)).toEqual({ n: 1 });
    expect((await ask({ method: "DELETE", path: "/" }, z.unknown())) ?? undefined).toBeUndefined();
    await close();
  });
  test("gets a coded error as it was thrown; what is wrong with its own input is not logged", async () => {
    const { ask, close, errors } = await between(({ url }) => {
      if (url === "/bad") numbers.parse({ n: "one" });
      throw new PlatformError("CONFLICT", "Taken.", { hint: "Take another.", facts: { by: "x" } });
    });
    await expect(ask(GET, numbers)).rejects.toMatchObject({
      code: "CONFLICT",
      message: "Taken.",
      hint: "Take another.",
      facts: { by: "x" },
    });
    await expect(ask({ ...GET, path: "/bad" }, numbers)).rejects.toMatchObject({ code: "BAD_REQUEST" });
    expect(errors).toEqual([]);
    await close();
  });
  test("is told nothing of an error of the part itself, which is logged there", async () => {
    const { ask, close, errors } = await between(() => Promise.reject(new Error("secret-of-the-part")));
    await expect(ask(GET, numbers)).rejects.toMatchObject({ code: "INTERNAL", message: expect.not.stringContaining("secret-of-the-part") });
    expect(errors).toMatchObject([{ message: "secret-of-the-part" }]);
    await close();
  });
  test.each([
    ["is no JSON", "<html>"],
    ["is something else", '{"n":"one"}'],
  ])("does not take an answer that %s", async (_what, text) => {
    const { ask, close } = await between((_request, response) => void response.end(text));
    await expect(ask(GET, numbers)).rejects.toMatchObject({ code: "INTERNAL", message: "The part's answer to / is not understood." });
    await close();
  });
  test("to a part that is away or silent is UNAVAILABLE, with what to do", async () => {
    const silent = await between(() => new Promise(() => {}), { timeoutMs: 200 });
    await expect(silent.ask(GET, numbers)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: "The part is not reachable.",
      hint: "Wait.",
    });
    await silent.close();
    const nobody = createCaller({
      dial: { origin: "http://x", connect: { socketPath: at("no") } },
      who: "X",
      connections: 1,
      timeoutMs: 500,
    });
    await expect(nobody.ask(GET, numbers)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await nobody.close();
  });
  test("reads no more of an answer than its cap", async () => {
    const { ask, close } = await between(() => ({ body: { n: 1, more: "x".repeat(1_000) } }), { answerCap: 500 });
    await expect(ask(GET, numbers)).rejects.toBeInstanceOf(PlatformError);
    await close();
  });
});

test("a stream that has begun and fails is cut, and no problem is written into it", async () => {
  const { open: begin, close } = await between(async (_request, response) => {
    response.write("first");
    await new Promise((resolve) => setTimeout(resolve, 50));
    throw new PlatformError("CONFLICT", "Too late.");
  });
  const { body } = await begin(GET);
  let text = "";
  const read = async () => {
    for await (const chunk of body) text += String(chunk);
  };
  await expect(read()).rejects.toThrow();
  expect(text).toBe("first");
  await close();
});

test.each([
  ["the secret", `Bearer ${SECRET}`, true],
  ["another one", `Bearer ${"t".repeat(32)}`, false],
  ["a shorter one", "Bearer s", false],
  ["the secret alone", SECRET, false],
  ["nothing", undefined, false],
])("who shows %s", (_what, authorization, mayAsk) => {
  expect(createBearerCheck(SECRET)({ headers: { authorization } })).toBe(mayAsk);
});

describe("a socket", () => {
  test("has its mode when it can be seen, and goes when it is closed", async () => {
    const seen = new Set<number>();
    let looking = true;
    const look = (async () => {
      while (looking) {
        if (existsSync(at("s"))) seen.add(statSync(at("s")).mode & 0o777);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const listener = await openListener(http.createServer(), { kind: "unix", path: at("s") }, { mode: 0o640 });
    looking = false;
    await look;
    seen.add(statSync(at("s")).mode & 0o777);
    expect([...seen]).toEqual([0o640]);
    await closeListener(listener);
    expect(existsSync(at("s"))).toBe(false);
  });
  test("that a killed process left is replaced, and one that answers is not", async () => {
    writeFileSync(at("s"), "");
    const first = createServer((socket: Socket) => socket.on("error", () => undefined).end("first"));
    await listenUnix(first, at("s"), { mode: 0o600 });
    await expect(listenUnix(createServer(), at("s"), { mode: 0o600 })).rejects.toMatchObject({ code: "CONFLICT" });
    await new Promise((resolve) => first.close(resolve));
  });
});
