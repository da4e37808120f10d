// The floor: node:http in, undici Pool.dispatch out over a Unix socket, and nothing else. `node bare-proxy.ts UPSTREAM`.
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Pool, type Dispatcher } from "undici";

const upstream = process.argv[2] ?? "";
const pool = new Pool("http://instance", {
  socketPath: upstream,
  connections: 64,
  pipelining: 1,
  allowH2: false,
  headersTimeout: 0,
  bodyTimeout: 0,
});

class Relay implements Dispatcher.DispatchHandler {
  private readonly response: ServerResponse;
  constructor(response: ServerResponse) {
    this.response = response;
  }
  onRequestStart(): void {}
  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const raw = controller.rawHeaders as Buffer[];
    const headers: string[] = [];
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i]!.toString("latin1").toLowerCase();
      if (name !== "connection" && name !== "keep-alive" && name !== "transfer-encoding")
        headers.push(name, raw[i + 1]!.toString("latin1"));
    }
    this.response.writeHead(status, headers);
  }
  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.response.write(chunk);
  }
  onResponseEnd(): void {
    this.response.end();
  }
  onResponseError(): void {
    this.response.destroy();
  }
}

const server = createServer((request, response) => {
  const headers: string[] = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!.toLowerCase();
    if (name !== "connection" && name !== "keep-alive") headers.push(name, request.rawHeaders[i + 1]!);
  }
  pool.dispatch({ path: request.url!, method: request.method!, headers, body: null }, new Relay(response));
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("message", () => process.send?.(process.cpuUsage()));
