// A client's connection as a caller: it hides node:http's request and response from the call.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { Call, type Ledger } from "../call/call.ts";
import type { Metrics } from "../measure/metrics.ts";
import type { HeldBytes } from "./held-bytes.ts";
import type { Caller } from "../call/caller.ts";
import { discardRest, sendProblem } from "./problem.ts";
import { StreamedBody } from "./request-body.ts";
import type { RequestHead } from "./request-head.ts";
import { clientNetwork, forwardedClient } from "./client-network.ts";

/** Bodies that are gathered, and answers that are not taken. Each has its own room, so that nobody's body cuts another's answer. */
export interface Held {
  bodies: HeldBytes;
  answers: HeldBytes;
}
const HELD = ["bodies", "answers"] as const;

/** What all clients' connections share. */
export interface Shared {
  ledger: Ledger;
  held: Held;
  metrics: Pick<Metrics, "refusedHeld">;
  isTrustedProxy: (address: string | undefined) => boolean;
  /** The connection's next request may be served. */
  answered(socket: Socket): void;
  /** How long a client may take nothing of what waits for it, milliseconds. */
  stalledWriteMs: number;
}

const kCaller = Symbol("caller");
type HeldResponse = ServerResponse & { [kCaller]?: HttpCaller };

export class HttpCaller implements Caller {
  readonly call: Call;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Undefined until the head has been read and found valid. */
  head: RequestHead | undefined = undefined;
  private continued = false;
  readonly shared: Shared;
  /** Bytes that are held for this request; made when there are any. */
  private holds: Record<keyof Held, number> | undefined = undefined;
  /** Runs while the client takes nothing. */
  private stalled: NodeJS.Timeout | undefined = undefined;

  constructor(request: IncomingMessage, response: ServerResponse, shared: Shared) {
    this.shared = shared;
    this.request = request;
    this.response = response;
    // Two shared functions instead of closures for each request, because this is the hottest path of the gateway.
    (response as HeldResponse)[kCaller] = this;
    response.on("close", onClose);
    this.call = new Call(request.method ?? "", request.url ?? "", this, shared.ledger);
  }

  get bodyLength(): number {
    return this.head!.contentLength;
  }
  gatherBody(): Promise<Buffer | undefined> {
    this.mayContinue();
    const { request, call } = this;
    const chunks: Buffer[] = [];
    return new Promise((resolve, reject) => {
      const take = (chunk: Buffer): void => {
        call.bytesIn += chunk.length;
        chunks.push(chunk);
        // What has come, not what was announced: a head costs nothing.
        if (this.hold("bodies", call.bytesIn)) return;
        request.off("data", take); // the rest is read off, and not kept
        chunks.length = 0;
        reject(tooMuchHeld());
      };
      request.on("data", take);
      request.once("end", () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
      request.once("close", () => resolve(undefined));
    });
  }
  streamBody(): StreamedBody {
    this.mayContinue();
    return new StreamedBody(this.call, this.request);
  }
  /** `Expect: 100-continue` is answered once, and only when the body is wanted (RFC 9110 section 10.1.1). */
  private mayContinue(): void {
    if (!this.head!.expectsContinue || this.continued) return;
    this.continued = true;
    this.response.writeContinue();
  }

  hint(links: string[]): void {
    if (this.request.httpVersion === "1.0") return;
    try {
      this.response.writeEarlyHints({ link: links });
    } catch {
      // Node accepts only well-formed Link values; a bad hint must not fail the request.
    }
  }
  writeHead(status: number, headers: string[]): void {
    this.response.writeHead(status, headers);
  }
  flushHead(): void {
    this.response.flushHeaders();
  }
  write(chunk: Buffer): boolean {
    if (this.response.write(chunk)) return true;
    if (this.stalled === undefined) this.response.once("drain", onDrain);
    this.awaitClient(this.response.writableLength);
    return false;
  }
  /** What the client has not taken yet is bounded in time and, over all clients, in bytes. */
  private awaitClient(bytes: number): void {
    this.stalled ??= setTimeout(onStalled, this.shared.stalledWriteMs, this);
    if (!this.hold("answers", bytes)) this.cut();
  }
  drained(): void {
    this.letGo();
    this.call.holder?.drained();
  }
  private hold(what: keyof Held, bytes: number): boolean {
    const holds = (this.holds ??= { bodies: 0, answers: 0 });
    const more = bytes - holds[what];
    if (more <= 0) return true;
    if (!this.shared.held[what].take(this.address, more)) {
      this.shared.metrics.refusedHeld += 1;
      return false;
    }
    holds[what] = bytes;
    return true;
  }
  /** Nothing of this request is held any more. */
  letGo(): void {
    clearTimeout(this.stalled);
    this.stalled = undefined;
    if (this.holds === undefined) return;
    for (const what of HELD) if (this.holds[what] > 0) this.shared.held[what].giveBack(this.address, this.holds[what]);
    this.holds = undefined;
  }
  /** Whose share this request is of; undefined: of one of many clients, behind a proxy that does not say which. */
  get address(): string | undefined {
    const { remoteAddress } = this.request.socket;
    if (remoteAddress === undefined) return undefined;
    return this.shared.isTrustedProxy(remoteAddress)
      ? forwardedClient(this.head?.forwardedFor, this.shared.isTrustedProxy)
      : clientNetwork(remoteAddress);
  }
  addTrailer(name: string, value: string): void {
    try {
      this.response.addTrailers([[name, value]]);
    } catch {
      // A malformed trailer is dropped, because the body before it was complete.
    }
  }
  /** A whole body is sent together with its head as one string in one write. Latin-1 keeps every byte. */
  end(body?: Buffer): void {
    if (body === undefined) this.response.end();
    else this.response.end(body.toString("latin1"), "latin1");
    const left = this.response.socket?.writableLength ?? 0;
    if (left > 0) this.awaitClient(left);
  }
  refuse(error: PlatformError): void {
    if (this.response.headersSent) this.cut();
    else sendProblem(this, error);
  }
  /** HTTP/1.0 ends a body by closing, so there only a reset tells that it is not whole (RFC 9112 section 8). */
  cut(): void {
    const { socket } = this.request;
    // The response of a pipelined request has no socket yet, and destroying it would close nothing.
    if (this.request.httpVersion === "1.0" && socket.remoteAddress !== undefined) socket.resetAndDestroy();
    else socket.destroy();
  }
}

function onClose(this: HeldResponse): void {
  const caller = this[kCaller]!;
  caller.letGo();
  caller.call.callerGone();
  if (!caller.request.complete && !caller.request.socket.destroyed) discardRest(caller.request);
  caller.shared.answered(caller.request.socket);
}
const onStalled = (caller: HttpCaller): void => caller.cut();

const tooMuchHeld = (): PlatformError =>
  new PlatformError("RATE_LIMITED", "Too many bytes of this address are being held at the same time.", {
    hint: "Send fewer requests with bodies at a time.",
  });

function onDrain(this: HeldResponse): void {
  this[kCaller]?.drained();
}
