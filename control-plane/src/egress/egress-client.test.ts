// The egress proxy as the control plane calls it: every start of a sandbox waits for it, so its restart must cost none.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createEgressClient } from "./egress-client.ts";

const SOURCE = {
  tenantId: null,
  functionId: null,
  version: 0,
  label: "x",
  kind: "build" as const,
  allow: [],
  maxBytes: 1,
  maxConnections: 1,
};
let folder: string;
let server: Server;
let asked: string[];
const socket = () => path.join(folder, "admin");
const listen = () => new Promise<void>((resolve) => server.listen(socket(), resolve));
const close = () => new Promise((resolve) => server.close(resolve).closeAllConnections());

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "ec-"));
  asked = [];
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume().on("end", () => response.writeHead(asked.at(-1)!.includes("refused") ? 500 : 200).end("{}"));
  });
});
afterEach(async () => {
  await close();
  rmSync(folder, { recursive: true });
});

test("a proxy that is not there yet is asked again until it is", async () => {
  const client = createEgressClient(socket(), "s");
  const put = client.put("a", SOURCE);
  await new Promise((resolve) => setTimeout(resolve, 400));
  await listen();
  await put;
  expect(asked).toEqual(["PUT /internal/v1/sources/a"]);
});

test("a proxy that begins again between two calls fails neither", async () => {
  await listen();
  const client = createEgressClient(socket(), "s");
  await client.put("a", SOURCE);
  await close();
  rmSync(socket(), { force: true });
  const put = client.put("b", SOURCE);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await listen();
  await put;
  expect(asked).toEqual(["PUT /internal/v1/sources/a", "PUT /internal/v1/sources/b"]);
});

test("a refusal is not asked again; a proxy that stays away is UNAVAILABLE after a while", async () => {
  await listen();
  const client = createEgressClient(socket(), "s");
  await expect(client.put("refused", SOURCE)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(asked).toHaveLength(1);
  await close();
  await expect(client.put("b", SOURCE)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(asked).toHaveLength(1);
}, 15_000);
