// When an address has passed to another pod, that pod gets no byte of a request (SECURITY B8).
import { createServer, type Server, type TlsOptions } from "node:tls";
import net, { type AddressInfo } from "node:net";
import { Pool } from "undici";
import { afterEach, expect, test } from "vitest";
import { createInstanceCertificate } from "../sandbox/kubernetes/certificate.ts";
import { dialOf } from "./instance-address.ts";

const ID = "0123456789abcdef0123";
const HOUR_MS = 3_600_000;
/** How often the test lets an address pass to another pod; FNCTL_CHURN sets it to the 10,000 that SECURITY asks for. */
const CHURN = Number(process.env["FNCTL_CHURN"] ?? 300);
const open: { close(): void }[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

interface Peer {
  server: Server | net.Server;
  /** Number of bytes that it received and could read. */
  read(): number;
  end(): Promise<void>;
}

function listen(server: Server | net.Server, port: number, answer: string): Promise<Peer> {
  let bytes = 0;
  const sockets = new Set<net.Socket>();
  const take = (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (answer !== "") socket.write(answer);
    });
  };
  server.on(server instanceof net.Server && !("setSecureContext" in server) ? "connection" : "secureConnection", take);
  server.on("tlsClientError", () => undefined);
  open.push(server);
  const end = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve({ server, read: () => bytes, end })));
}
const tls = async (name: string): Promise<{ options: TlsOptions; pin: string }> => {
  const { key, certificate } = await createInstanceCertificate(name, HOUR_MS);
  return { options: { key, cert: certificate, minVersion: "TLSv1.3" }, pin: certificate };
};
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const SECRET = {
  method: "POST" as const,
  path: "/secret",
  headers: { host: "fn--acme.example.com", authorization: "Bearer secret" },
  body: "secret",
};

test(`${CHURN} times an address passes from an instance to a hostile pod and back: it reads nothing`, async () => {
  const [own, hostile] = [await tls(ID), await tls(ID)]; // the same name in the certificate, another key
  let peer = await listen(createServer(own.options), 0, OK);
  const { port } = peer.server.address() as AddressInfo;
  const dial = dialOf({ kind: "tls", host: "127.0.0.1", port, pin: own.pin }, ID, 2_000);
  const pool = new Pool(dial.origin, { connect: dial.connect, connections: 1 });
  let read = 0;
  for (let round = 0; round < CHURN; round++) {
    expect((await pool.request(SECRET)).statusCode).toBe(200); // a connection is open when the address passes to the other pod
    await peer.end();
    peer = await listen(createServer(hostile.options), port, OK);
    await expect(pool.request(SECRET)).rejects.toThrow();
    read += peer.read();
    await peer.end();
    peer = await listen(createServer(own.options), port, OK);
  }
  expect(read).toBe(0);
  await pool.destroy();
  await peer.end();
}, 600_000);

test.each([
  ["the name of another instance under a certificate of its own", async () => createServer((await tls("f".repeat(20))).options)],
  ["plain HTTP", async () => net.createServer()],
])("%s gets no request", async (_what, make) => {
  const { pin } = await tls(ID);
  const peer = await listen(await make(), 0, "");
  const dial = dialOf({ kind: "tls", host: "127.0.0.1", port: (peer.server.address() as AddressInfo).port, pin }, ID, 500);
  const pool = new Pool(dial.origin, { connect: dial.connect, connections: 1 });
  await expect(pool.request(SECRET)).rejects.toThrow();
  const seen = peer.read();
  // A plain TCP peer sees the first message of the TLS handshake, which holds the instance's name and no part of the request.
  expect(seen).toBeLessThan(3_000);
  if (_what !== "plain HTTP") expect(seen).toBe(0);
  await pool.destroy();
  await peer.end();
});
