// Real node:http servers on Unix sockets that stand in for instances.
import { createServer, type RequestListener, type Server } from "node:http";
import { PROTOCOL_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { createServer as createRawServer, type Server as RawServer, type Socket } from "node:net";

export interface Upstream {
  path: string;
  close(): Promise<void>;
}

const closing = (server: Server | RawServer, sockets: Set<Socket>) => async (): Promise<void> => {
  for (const socket of sockets) socket.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
};

function track(server: RawServer): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  return sockets;
}

/** `settled` answers the question whether a request's handler has ended (runtime protocol). */
export async function startUpstream(
  path: string,
  listener: RequestListener,
  settled: RequestListener = (_request, answer) => answer.writeHead(204).end(),
): Promise<Upstream> {
  const server = createServer((request, answer) => {
    if (request.url === PROTOCOL_PATHS.health) answer.end('{"state":"ready"}');
    else (request.url === PROTOCOL_PATHS.settled ? settled : listener)(request, answer);
  });
  const sockets = track(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { path, close: closing(server, sockets) };
}

/** Starts a raw socket server, for hostile answers that node:http would not send. */
export async function startRawUpstream(path: string, onSocket: (socket: Socket) => void): Promise<Upstream> {
  const server = createRawServer((socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  const sockets = track(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { path, close: closing(server, sockets) };
}
