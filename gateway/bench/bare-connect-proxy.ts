// The floor: a CONNECT proxy of node:http and node:net that checks nothing. `node bare-connect-proxy.ts SOCKET UPSTREAM-PORT`.
import { createServer } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";

const [socket = "", port = ""] = process.argv.slice(2);
const server = createServer();
server.on("connect", (_request, client: Duplex) => {
  const upstream = connect({ host: "127.0.0.1", port: Number(port), noDelay: true }, () => {
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    client.pipe(upstream).pipe(client);
  });
  upstream.on("error", () => client.destroy());
  client.on("error", () => upstream.destroy());
});
server.listen(socket, () => process.send?.("ready"));
process.on("message", (asked) => process.send?.(asked === "memory" ? process.memoryUsage.rss() : process.cpuUsage()));
