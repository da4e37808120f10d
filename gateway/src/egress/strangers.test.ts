// Connections that have not shown a credential yet: each address has its share of them.
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EGRESS_LIMITS } from "./limits.ts";
import { Strangers } from "./strangers.ts";

const { perAddress, least, all } = EGRESS_LIMITS.strangers;
let server: ReturnType<typeof createServer>;
let strangers: Strangers;
let accepted: Socket[];
let clients: Socket[];
beforeEach(async () => {
  accepted = [];
  clients = [];
  server = createServer();
  strangers = new Strangers(server);
  server.on("connection", (socket: Socket) => accepted.push(socket));
  await once(server.listen({ port: 0, host: "127.0.0.1", backlog: 1_000 }), "listening");
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  server.closeAllConnections();
  for (const socket of accepted) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

/** Opens connections from an address; resolves with how many stay. */
async function open(count: number, from: string): Promise<number> {
  const made = Array.from({ length: count }, () =>
    connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", localAddress: from }),
  );
  clients.push(...made);
  const before = accepted.length;
  for (const client of made) client.on("error", () => undefined);
  await expect.poll(() => accepted.length - before).toBe(count);
  return accepted.slice(before).filter((socket) => socket.writable).length;
}

test("one address has as many as a sandbox may need at once, and not one more", async () => {
  expect(await open(perAddress, "127.0.0.2")).toBe(perAddress);
  expect(await open(1, "127.0.0.2")).toBe(0);
  expect(await open(1, "127.0.0.3")).toBe(1);
});

test("whoever has shown a credential, or is gone, counts no more", async () => {
  await open(perAddress, "127.0.0.2");
  strangers.known(accepted[0]!);
  strangers.known(accepted[0]!);
  expect(await open(2, "127.0.0.2")).toBe(1);
  clients[1]!.destroy();
  await expect.poll(() => accepted.filter((socket) => socket.destroyed).length).toBeGreaterThan(1);
  expect(await open(2, "127.0.0.2")).toBe(1);
});

test("the more addresses there are, the smaller their shares; a new one always has some", async () => {
  const many = 40;
  for (let i = 0; i < many; i++) await open(Math.floor(all / many), `127.0.1.${i + 1}`);
  expect(await open(perAddress, "127.0.2.1")).toBeLessThanOrEqual(Math.floor(all / (many + 1)));
  expect(await open(least, "127.0.2.2")).toBe(least);
}, 60_000);
