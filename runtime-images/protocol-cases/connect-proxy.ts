// A CONNECT proxy on a Unix socket that replaces the egress proxy in cases that run the builder alone.
import { createServer } from "node:http";
import { connect } from "node:net";
import { chmodSync } from "node:fs";

export interface ConnectProxy {
  /** `host:port` of every tunnel that was asked for. */
  asked: string[];
  close(): void;
}

export function startConnectProxy(socketPath: string, allow: (host: string) => boolean): Promise<ConnectProxy> {
  const asked: string[] = [];
  const server = createServer((_incoming, outgoing) => outgoing.writeHead(405).end());
  server.on("connect", (incoming, client, head) => {
    asked.push(incoming.url ?? "");
    const [host = "", port = "443"] = (incoming.url ?? "").split(":");
    if (!allow(host)) return void client.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const upstream = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
  });
  return new Promise((resolve) =>
    server.listen(socketPath, () => {
      chmodSync(socketPath, 0o666);
      resolve({ asked, close: () => server.close().closeAllConnections() });
    }),
  );
}
