// One request of a connection at a time. Node hands over every request that a read holds, up to two thousand of them, and keeps their answers
// until it is their turn; so requests that a client sends before it has its answer (RFC 9112 section 9.3.2) wait here, and while any waits
// that connection is not read further.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Metrics } from "../measure/metrics.ts";
import { kEnding, type EndingSocket } from "./problem.ts";
import { clientNetwork } from "./client-network.ts";
import { callerOf, shareOfFunction } from "./from-function.ts";

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

const kLine = Symbol("line");
type Connection = Socket & { [kLine]?: Line };
/** The requests of one connection. */
interface Line {
  busy: boolean;
  /** Made when the first request has to wait, which happens on few connections. */
  waiting: [IncomingMessage, ServerResponse][] | undefined;
  /** Whose share the waiting ones are; undefined: many clients come from there. */
  address: string | undefined;
  patience: NodeJS.Timeout | undefined;
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

/** Undefined: many clients come from there. */
function shareOf(socket: Socket, isTrustedProxy: (address: string | undefined) => boolean): string | undefined {
  const from = callerOf(socket);
  if (from !== undefined) return shareOfFunction(from);
  const peer = socket.remoteAddress;
  return peer === undefined || isTrustedProxy(peer) ? undefined : clientNetwork(peer);
}

export interface Pipeline {
  /** A request has arrived. */
  take: Serve;
  /** The answer of the connection's request has left, or the connection is gone. Told by whoever serves, who listens for it anyway. */
  answered(socket: Socket): void;
}

export type PipelineLimits = Record<"pipelinedPerConnection" | "pipelinedPerAddress" | "pipelined" | "pipelineWaitMs", number>;
interface Deps {
  metrics: Pick<Metrics, "pipelined" | "refusedConnections">;
  isTrustedProxy: (address: string | undefined) => boolean;
  limits: PipelineLimits;
  serve: Serve;
}

/**
 * `serve` gets one request of each connection at a time. A connection is cut when too many of its requests wait, or one for too long: while it is
 * not read nobody would notice that its client has gone, and what its first request holds would be held for nobody.
 */
export function createPipeline({ metrics, isTrustedProxy, limits, serve }: Deps): Pipeline {
  const perAddress = new Map<string, number>();

  function count(line: Line, change: number): number {
    metrics.pipelined += change;
    if (line.address === undefined) return 0;
    const own = (perAddress.get(line.address) ?? 0) + change;
    if (own > 0) perAddress.set(line.address, own);
    else perAddress.delete(line.address);
    return own;
  }
  function refuse(socket: Connection): void {
    metrics.refusedConnections += 1;
    cut(socket);
  }
  function begin(line: Line, request: IncomingMessage, response: ServerResponse): void {
    line.busy = true;
    if ((request.socket as EndingSocket)[kEnding] !== true) serve(request, response);
  }

  function firstWaits(line: Line, socket: Connection): void {
    line.address = shareOf(socket, isTrustedProxy);
    line.patience = setTimeout(refuse, limits.pipelineWaitMs, socket);
    socket.once("close", forget);
  }
  function wait(line: Line, request: IncomingMessage, response: ServerResponse): void {
    const socket = request.socket as Connection;
    const waiting = (line.waiting ??= []);
    if (waiting.length === 0) firstWaits(line, socket);
    // Not at once: Node reads on when it has the whole of a request, which is after it has told us of its head.
    setImmediate(pauseIfWaiting, socket, line);
    waiting.push([request, response]);
    const own = count(line, 1);
    if (waiting.length > limits.pipelinedPerConnection || own > limits.pipelinedPerAddress || metrics.pipelined > limits.pipelined)
      refuse(socket);
  }
  function pauseIfWaiting(socket: Connection, line: Line): void {
    if ((line.waiting?.length ?? 0) > 0) socket.pause();
  }

  function answered(socket: Connection): void {
    const line = socket[kLine];
    if (line === undefined) return;
    line.busy = false;
    if (socket.writableEnded || socket.destroyed) return; // nobody would get the next answer
    const following = line.waiting?.shift();
    if (following === undefined) return;
    count(line, -1);
    clearTimeout(line.patience);
    if (line.waiting!.length > 0) line.patience = setTimeout(refuse, limits.pipelineWaitMs, socket);
    else {
      socket.off("close", forget);
      socket.resume();
    }
    begin(line, ...following);
  }

  function forget(this: Connection): void {
    const line = this[kLine]!;
    clearTimeout(line.patience);
    count(line, -(line.waiting?.length ?? 0));
    line.waiting = undefined;
  }

  return {
    take(request, response) {
      const socket = request.socket as Connection;
      const line = (socket[kLine] ??= { busy: false, waiting: undefined, address: undefined, patience: undefined });
      if (socket.destroyed) return;
      if (line.busy) wait(line, request, response);
      else begin(line, request, response);
    },
    answered,
  };
}
