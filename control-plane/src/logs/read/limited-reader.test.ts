// The limits of simultaneous log reads: the API's own route over real HTTP, with a log reader that never ends by itself.
import { once } from "node:events";
import { createServer, get, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createApi, type ApiDeps } from "../../api/app.ts";
import type { LogReader } from "./log-reader.ts";
import { PlatformError } from "../../contract/errors.ts";
import { LIMITS } from "../../contract/limits.ts";
import { logQuerySchema } from "../../contract/logs.ts";
import { hashToken, createToken } from "../../accounts/token.ts";
import { limitReads } from "./limited-reader.ts";

let bodies: PassThrough[];
const endless: LogReader = {
  async read() {
    const body = new PassThrough();
    body.write(`{"first":true}\n`);
    bodies.push(body);
    return body;
  },
};
beforeEach(() => void (bodies = []));
const query = logQuerySchema.parse({ follow: "true" });
const soon = { timeout: 5_000, interval: 20 };

describe("through the API", () => {
  const tokens = new Map<string, string>();
  let server: Server;
  let readers: IncomingMessage[];
  beforeEach(async () => {
    readers = [];
    const system = {
      tokenByHash: async (hash: Buffer) => ({
        tokenId: "",
        name: "t",
        prefix: "",
        scopes: ["read"],
        createdAt: new Date(0),
        tenantId: tokens.get(hash.toString("hex")),
      }),
    };
    const functions = { get: async () => ({ row: { id: "a function" } }) };
    const app = createApi({ system, functions, logs: limitReads(endless), onError: () => undefined } as unknown as ApiDeps);
    server = createServer((request, response) => void getRequestListener(app.fetch)(request, response)).listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  function tenant(id: string) {
    const { secret } = createToken();
    tokens.set(hashToken(secret).toString("hex"), id);
    return async (follow = "true"): Promise<string> => {
      const request = get({
        port: (server.address() as AddressInfo).port,
        path: `/v1/functions/hello/logs?follow=${follow}`,
        headers: { authorization: `Bearer ${secret}` },
        agent: false,
      });
      const [response] = (await once(request, "response")) as [IncomingMessage];
      response.on("error", () => undefined);
      const [first] = (await once(response, "data")) as [Buffer];
      if (response.statusCode === 200) readers.push(response);
      return response.statusCode === 200 ? "200" : `${response.statusCode} ${(JSON.parse(first.toString()) as { code: string }).code}`;
    };
  }

  test("a tenant has its number of reads, followed or not, and another one is refused; other tenants do not notice", async () => {
    const [read, other] = [tenant("one"), tenant("two")];
    for (let index = 0; index < LIMITS.logReadsPerTenant; index++) expect(await read(index % 2 === 0 ? "true" : "false")).toBe("200");
    expect(await read()).toBe("429 RATE_LIMITED");
    expect(await read("false")).toBe("429 RATE_LIMITED");
    expect(await other()).toBe("200");
  });

  test("the process has its number of reads, and then nobody gets another", async () => {
    const tenants = Array.from({ length: LIMITS.logReads / LIMITS.logReadsPerTenant }, (_, index) => tenant(`t${index}`));
    for (const read of tenants) for (let index = 0; index < LIMITS.logReadsPerTenant; index++) expect(await read()).toBe("200");
    expect(bodies).toHaveLength(LIMITS.logReads);
    expect(await tenant("late")()).toBe("503 CAPACITY_UNAVAILABLE");
    expect(await tenants[0]!()).toBe("429 RATE_LIMITED"); // the limit that the client can do something about is checked first
  });

  test("a reader that goes away mid-way gives its place back, and what it read from ends", async () => {
    const read = tenant("one");
    for (let index = 0; index < LIMITS.logReadsPerTenant; index++) await read();
    readers[0]!.destroy();
    await expect.poll(() => bodies[0]!.destroyed, soon).toBe(true);
    expect(await read()).toBe("200");
    expect(await read()).toBe("429 RATE_LIMITED");
  });

  test("HEAD begins no read: there is nobody to end it", async () => {
    const { secret } = createToken();
    tokens.set(hashToken(secret).toString("hex"), "one");
    const { port } = server.address() as AddressInfo;
    for (let index = 0; index <= LIMITS.logReadsPerTenant; index++) {
      const url = `http://127.0.0.1:${port}/v1/functions/hello/logs?follow=true`;
      const answer = await fetch(url, { method: "HEAD", headers: { authorization: `Bearer ${secret}` } });
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
    }
    expect(bodies).toEqual([]);
  });

  test("a read that comes to its end gives its place back", async () => {
    const read = tenant("one");
    for (let index = 0; index < LIMITS.logReadsPerTenant; index++) await read();
    bodies[3]!.end();
    await expect.poll(() => read(), soon).toBe("200");
  });
});

describe("a place is given back, once,", () => {
  const one = { tenant: 1, all: 1 };
  const busy = expect.objectContaining({ code: "RATE_LIMITED" });

  test("by a read that fails", async () => {
    let fails = true;
    const away = new PlatformError("UNAVAILABLE", "The log collector does not answer.");
    const read: LogReader["read"] = (...args) => (fails ? Promise.reject(away) : endless.read(...args));
    const limited = limitReads({ read }, one);
    const { signal } = new AbortController();
    await expect(limited.read("a", "f", query, signal)).rejects.toBe(away);
    fails = false;
    await limited.read("a", "f", query, signal);
    await expect(limited.read("a", "f", query, signal)).rejects.toEqual(busy);
  });

  test("by a reader that left before there was an answer", async () => {
    const limited = limitReads(endless, one);
    const body = await limited.read("a", "f", query, AbortSignal.abort());
    await expect.poll(() => body.closed, soon).toBe(true);
    await limited.read("a", "f", query, new AbortController().signal);
    body.destroy();
    await expect(limited.read("a", "f", query, new AbortController().signal)).rejects.toEqual(busy);
  });
});
