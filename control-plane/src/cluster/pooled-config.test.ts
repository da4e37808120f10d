// Calls to the API server share connections until the files with the trusted certificates are read anew.
import { CoreV1Api } from "@kubernetes/client-node";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createInstanceCertificate } from "../sandbox/kubernetes/certificate.ts";
import { DISPATCHER_MS, PooledKubeConfig } from "./pooled-config.ts";

let server: Server;
let connections: number;
let core: CoreV1Api;
beforeEach(async () => {
  const { key, certificate } = await createInstanceCertificate("localhost", 3_600_000);
  connections = 0;
  server = createServer({ key, cert: certificate }, (_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ kind: "NodeList", apiVersion: "v1", items: [] }));
  });
  server.on("secureConnection", () => connections++);
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const config = new PooledKubeConfig();
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;
  config.loadFromOptions({
    clusters: [{ name: "c", server: url, caData: Buffer.from(certificate).toString("base64"), skipTLSVerify: false }],
    users: [{ name: "u", token: "t" }],
    contexts: [{ name: "x", cluster: "c", user: "u" }],
    currentContext: "x",
  });
  core = config.makeApiClient(CoreV1Api);
});
afterEach(() => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
});

/** Connections that are allowed: a call may begin before the connection of the previous call is free again. */
const FEW = 2;

test("one after the other they take a connection that is there", async () => {
  for (let call = 0; call < 20; call++) await core.listNode();
  expect(connections).toBeLessThanOrEqual(FEW);
});

test("after a while they take another", async () => {
  const now = performance.now();
  for (let call = 0; call < 5; call++) await core.listNode();
  const before = connections;
  vi.spyOn(performance, "now").mockReturnValue(now + DISPATCHER_MS - 1000);
  await core.listNode();
  expect(connections).toBe(before);
  vi.spyOn(performance, "now").mockReturnValue(now + DISPATCHER_MS + 1000);
  await core.listNode();
  expect(connections).toBe(before + 1);
});
