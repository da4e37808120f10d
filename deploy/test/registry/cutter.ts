// A TCP proxy that cuts connections at a chosen place: after a number of bytes from the start of a request, or after a number of bytes of
// its answer.
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface Cut {
  /** Matches the beginning of the request that is cut, for example /^PATCH /. */
  at: RegExp;
  /** Cuts after the client has sent this many bytes of the request. */
  sent?: number;
  /** Cuts after this many bytes of the answer; 0: the registry has handled the request, and the client gets no answer. */
  received?: number;
  /** Number of cuts. */
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
    /** Forwards as much of a piece as may still pass; ends the connection when the limit is reached. */
    const pass = (to: Socket, piece: Buffer): void => {
      to.write(left < piece.length ? piece.subarray(0, left) : piece);
      left -= piece.length;
      if (left > 0) return;
      made++;
      if (to === client) end();
      else upstream.end(() => end()); // the registry receives what was sent before it is cut off
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
