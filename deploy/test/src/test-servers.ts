// Servers outside, for tests: each on a port of its own on loopback, all ended together.
import { once } from "node:events";
import { createServer as createHttp, type RequestListener } from "node:http";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

export function openServers() {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  async function listen(server: Server, address: string, port: number): Promise<number> {
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    });
    servers.push(server);
    await once(server.listen({ port, host: address, backlog: 1024 }), "listening");
    return (server.address() as AddressInfo).port;
  }
  const hangUp = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    /** Resolves with the port. */
    tcp: (onSocket: (socket: Socket) => void, address = "127.0.0.1", port = 0) =>
      listen(createServer({ allowHalfOpen: false }, onSocket), address, port),
    http: (listener: RequestListener) => listen(createHttp(listener), "127.0.0.1", 0),
    /** Ends all their connections. */
    hangUp,
    close(): void {
      hangUp();
      for (const server of servers) server.close();
    },
  };
}
export type Servers = ReturnType<typeof openServers>;
