// One request of a connection at a time. Node hands over every request that a read holds, up to two thousand of them, and keeps their answers
// until it is their turn; so requests that a client sends before it has its answer (RFC 9112 section 9.3.2) wait here, and while any waits
// nothing more is read of that connection.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import { kEnding, type EndingSocket } from "./problem.ts";

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

const kLine = Symbol("line");
type Connection = Socket & { [kLine]?: Line };
/** The requests of one connection. */
interface Line {
  busy: boolean;
  /** Made when the first request has to wait, which happens on few connections. */
  waiting: [IncomingMessage, ServerResponse][] | undefined;
}

/**
 * The parser goes on to the end of what was read, 64 KiB or 2,000 requests, and Node keeps each of them, with its answer, until the connection
 * has closed, which is after all other connections' reads of this turn of the loop: 60 connections took 290 MB so. Without anybody to
 * take them they are garbage at once. `parser` is Node's own; where it is not there, no more than that is lost.
 */
function cut(socket: Socket & { parser?: { onIncoming: unknown } | null }): void {
  if (socket.parser) socket.parser.onIncoming = () => 0;
  socket.destroy();
}

export interface Pipeline {
  /** A request has arrived. */
  take: Serve;
  /** The answer of the connection's request has left, or the connection is gone. Told by whoever serves, who listens for it anyway. */
  answered(socket: Socket): void;
}

/** `serve` gets one request of each connection at a time. A connection with too many waiting ones is cut. */
export function createPipeline(metrics: Pick<Metrics, "pipelined" | "refusedConnections">, serve: Serve): Pipeline {
  function begin(line: Line, request: IncomingMessage, response: ServerResponse): void {
    line.busy = true;
    if ((request.socket as EndingSocket)[kEnding] !== true) serve(request, response);
  }

  function wait(line: Line, request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const waiting = (line.waiting ??= []);
    if (waiting.length === 0) {
      socket.pause();
      socket.once("close", forget);
    }
    waiting.push([request, response]);
    metrics.pipelined += 1;
    if (waiting.length <= GATEWAY_LIMITS.pipelinedPerConnection && metrics.pipelined <= GATEWAY_LIMITS.pipelined) return;
    metrics.refusedConnections += 1;
    cut(socket);
  }

  function answered(socket: Connection): void {
    const line = socket[kLine];
    if (line === undefined) return;
    line.busy = false;
    if (socket.writableEnded || socket.destroyed) return; // nobody would get the next answer
    const following = line.waiting?.shift();
    if (following === undefined) return;
    metrics.pipelined -= 1;
    if (line.waiting!.length === 0) {
      socket.off("close", forget);
      socket.resume();
    }
    begin(line, ...following);
  }

  function forget(this: Connection): void {
    const line = this[kLine]!;
    metrics.pipelined -= line.waiting?.length ?? 0;
    line.waiting = undefined;
  }

  return {
    take(request, response) {
      const socket = request.socket as Connection;
      const line = (socket[kLine] ??= { busy: false, waiting: undefined });
      if (socket.destroyed) return;
      if (line.busy) wait(line, request, response);
      else begin(line, request, response);
    },
    answered,
  };
}
