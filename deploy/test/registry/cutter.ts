// A TCP proxy that cuts connections where a test wants it: so many bytes after a request's first line was sent, or of what came back.
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface Cut {
  /** Begins the request that is cut, as in /^PATCH /. */
  at: RegExp;
  /** Cut after so many bytes that the client sent from there. */
  sent?: number;
  /** Cut after so many bytes that came back from there; 0: the registry did it, and the client never hears. */
  received?: number;
  /** How often. */
  times: number;
}

export async function startCutter(target: string) {
  const [hostname = "", port = ""] = target.split(":");
  const sockets = new Set<Socket>();
  let plan: Cut | undefined;
  let made = 0;

  function serve(client: Socket): void {
    const upstream = connect(Number(port), hostname);
    const end = () => (client.destroy(), upstream.destroy());
    let active: Cut | undefined;
    let left = 0;
    /** What may still pass of a piece; ends the connection when that is not all. */
    const pass = (to: Socket, piece: Buffer): void => {
      to.write(left < piece.length ? piece.subarray(0, left) : piece);
      left -= piece.length;
      if (left > 0) return;
      made++;
      if (to === client) end();
      else upstream.end(() => end()); // the registry has what was sent before it is cut off
    };
    client.on("data", (piece: Buffer) => {
      if (active === undefined && plan !== undefined && plan.times > made && plan.at.test(piece.toString("latin1", 0, 200))) {
        active = plan;
        left = plan.sent ?? plan.received ?? 0;
      }
      if (active?.sent === undefined) upstream.write(piece);
      else if (left > 0) pass(upstream, piece);
    });
    upstream.on("data", (piece: Buffer) => {
      if (active?.received === undefined) client.write(piece);
      else pass(client, piece);
    });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", end).on("close", () => (sockets.delete(socket), end()));
    }
  }
  const server = createServer(serve);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    arm(cut: Cut): void {
      plan = cut;
      made = 0;
    },
    made: () => made,
    async close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}
