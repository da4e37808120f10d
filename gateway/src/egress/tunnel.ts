// One CONNECT: what its client sends first is judged, and then bytes are carried both ways.
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { PlatformError, type Problem } from "@fnctl/control-plane/contract/errors";
import type { Dialled } from "./dial.ts";
import { FirstFlightPieces } from "./first-flight-pieces.ts";
import { judgeFirstFlight } from "./first-flight.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { CLOSED, Passage, breakOff, type TunnelDeps } from "./passage.ts";
import { problemAnswer } from "./refusal.ts";
import type { Source } from "./source.ts";
import { readTarget, type Target } from "./target.ts";

export type { TunnelDeps } from "./passage.ts";

interface ConnectTo {
  authority: string;
  host: string | undefined;
  client: Duplex;
  head: Buffer;
}

/** `authority` and `host` as the client sent them; `client` may be written until it is destroyed. */
export function runTunnel(deps: TunnelDeps, source: Source, { authority, host, client, head }: ConnectTo): Promise<void> {
  const passage = new Passage(deps, source, {
    isGone: () => client.destroyed,
    refuse: (problem) => refuse(client, problem),
    destroy: (broken) => breakOff(client, broken),
  });
  client.on("error", () => passage.end("client-error"));
  client.once("close", () => passage.end(CLOSED));
  return passage.run(
    authority,
    () => targetOf(authority, host),
    (target, dialled) => carry({ passage, client, target }, dialled, head),
  );
}

function targetOf(authority: string, host: string | undefined): Target {
  const target = readTarget(authority);
  if (host !== undefined && host.toLowerCase() !== authority.toLowerCase() && host.toLowerCase() !== target.host)
    throw new PlatformError("FORBIDDEN", "The Host field is not the CONNECT target.");
  return target;
}

function refuse(client: Duplex, problem: Omit<Problem, "facts">): void {
  client.end(problemAnswer(problem));
  client.resume();
}

interface Ends {
  passage: Passage;
  client: Duplex;
  target: Target;
}

function carry(ends: Ends, { socket, early }: Dialled, head: Buffer): void {
  const { passage, client } = ends;
  passage.answered();
  client.write("HTTP/1.1 200 Connection established\r\n\r\n");
  socket.on("error", () => passage.end("upstream-error"));
  socket.once("close", () => upstreamClosed(ends));
  if (early.length > 0 && passage.count(early.length, "bytesDown")) client.write(early);
  socket.on("data", (chunk: Buffer) => passage.count(chunk.length, "bytesDown"));
  socket.pipe(client);
  readFirstFlight(ends, socket, head);
}

function upstreamClosed({ passage, client }: Ends): void {
  // Bytes that were read already still flow to the client; the tunnel ends when the client closes.
  if (!client.writableEnded) client.end();
  if (client.destroyed) passage.end(CLOSED);
}

/** No byte of the client is sent on before its first bytes have named the target host. */
function readFirstFlight({ passage, client, target }: Ends, socket: Socket, head: Buffer): void {
  const pieces = new FirstFlightPieces((bytes) => {
    try {
      if (judgeFirstFlight(bytes, target)) pass(bytes);
    } catch (error) {
      passage.end(error instanceof PlatformError ? `refused: ${error.message}` : "refused");
    }
  });
  const late = setTimeout(
    () => (pieces.length > 0 || target.port === 443 ? passage.end("no-first-flight") : undefined),
    EGRESS_LIMITS.firstFlightMs,
  );
  function stop(): void {
    clearTimeout(late);
    pieces.stop();
  }
  function pass(bytes: Buffer): void {
    stop();
    client.off("data", onData);
    client.on("data", (chunk: Buffer) => passage.count(chunk.length, "bytesUp"));
    if (!passage.count(bytes.length, "bytesUp")) return;
    socket.write(bytes);
    client.pipe(socket);
  }
  const onData = (chunk: Buffer): void => pieces.add(chunk);
  client.once("close", stop);
  client.on("data", onData);
  client.once("end", () => {
    pieces.end();
    socket.end();
  });
  if (head.length > 0) pieces.add(head);
}
