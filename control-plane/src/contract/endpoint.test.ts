// How parts of the platform reach each other over TCP: TLS uses the name of their service, whatever Host header the client's request
// carries.
import { createServer } from "node:https";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { Pool } from "undici";
import { expect, test } from "vitest";
import { createInstanceCertificate } from "../sandbox/kubernetes/certificate.ts";
import { CONNECT_MS, dialEndpoint } from "./endpoint.ts";
import { LIMITS } from "./limits.ts";

async function ask(name: string): Promise<string> {
  const { key, certificate } = await createInstanceCertificate(name, 3_600_000);
  const server = createServer({ key, cert: certificate }, (request, response) => response.end(request.headers.host));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { port } = server.address() as AddressInfo;
  const dial = dialEndpoint({ kind: "tcp", host: "localhost", port }, certificate);
  const pool = new Pool(dial.origin, { connect: dial.connect });
  try {
    const { body } = await pool.request({ method: "GET", path: "/", headers: { host: "functions.example.com" } });
    return await body.text();
  } finally {
    await pool.destroy();
    server.close();
  }
}

test("a request with a client's own Host reaches the part that was meant", async () => {
  expect(await ask("localhost")).toBe("functions.example.com");
});
test("a part with another name is not believed, even if it has the client's", async () => {
  await expect(ask("functions.example.com")).rejects.toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
});
test("over TCP there is no way without TLS", () => {
  expect(() => dialEndpoint({ kind: "tcp", host: "localhost", port: 1 }, undefined)).toThrow("FNCTL_INTERNAL_CA_FILE");
});

test("a part that takes connections and says nothing is given up, so early that a waiting request sees another try", async () => {
  const silent: Socket[] = [];
  const server = createTcpServer((socket) => silent.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const dial = dialEndpoint({ kind: "tcp", host: "localhost", port: (server.address() as AddressInfo).port }, "");
  const pool = new Pool(dial.origin, { connect: dial.connect });
  try {
    await expect(pool.request({ method: "GET", path: "/" })).rejects.toMatchObject({ code: "UND_ERR_CONNECT_TIMEOUT" });
    expect(CONNECT_MS * 3).toBeLessThan(LIMITS.queueMs);
  } finally {
    await pool.destroy();
    for (const socket of silent) socket.destroy();
    server.close();
  }
});
