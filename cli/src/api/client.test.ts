// Which answers of the platform are asked for again, over real HTTP.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { PROBLEM_TYPE, PlatformError, toProblem, type ErrorCode } from "@fnctl/control-plane/contract/errors";
import { createApiClient } from "./client.ts";

let server: Server;
let requests: number;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** Answers with these codes, one after the other, and then well. */
async function clientOf(codes: ErrorCode[]) {
  requests = 0;
  server = createServer((request, response) => {
    request.resume();
    const code = codes[requests];
    requests += 1;
    if (code === undefined) return void response.end("{}");
    const problem = toProblem(new PlatformError(code, "It says no."));
    response.writeHead(problem.status, { "content-type": PROBLEM_TYPE }).end(JSON.stringify(problem));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return createApiClient({ url, token: "fnctl_test" } as Parameters<typeof createApiClient>[0], new AbortController().signal);
}

test.each([
  ["GET", ["UNAVAILABLE", "RATE_LIMITED"], {}, 3],
  ["PUT", ["RATE_LIMITED"], {}, 2],
  ["POST", ["RATE_LIMITED"], { "idempotency-key": "k" }, 2],
] as const)("%s is repeated after %s", async (method, codes, headers, count) => {
  const client = await clientOf([...codes]);
  expect((await client.send(method, "/v1/x", { headers })).status).toBe(200);
  expect(requests).toBe(count);
});

test.each([
  ["GET", "QUOTA_EXCEEDED", {}],
  ["GET", "NOT_FOUND", {}],
  ["POST", "RATE_LIMITED", {}],
] as const)("%s is not repeated after %s", async (method, code, headers) => {
  const client = await clientOf([code]);
  await expect(client.send(method, "/v1/x", { headers })).rejects.toMatchObject({ code });
  expect(requests).toBe(1);
});
