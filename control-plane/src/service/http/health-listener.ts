// Answers liveness and role to the kubelet on a port of its own, over plain HTTP because the answers are no secret.
import http from "node:http";
import type { ListenAddress } from "../../contract/endpoint.ts";

export function openHealth(address: ListenAddress | undefined, role: () => string): { close(): void } {
  if (address?.kind !== "tcp") return { close: () => undefined };
  const server = http.createServer((request, response) => {
    request.resume();
    const known = request.method === "GET" && request.url === "/healthz";
    response.writeHead(known ? 200 : 404, { "content-type": "application/json" }).end(known ? JSON.stringify({ role: role() }) : "{}");
  });
  server.listen(address.port, address.host);
  return { close: () => void server.close() };
}
