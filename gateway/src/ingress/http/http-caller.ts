// A client's connection as a caller: it hides node:http's request and response from the call.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Pace } from "@fnctl/control-plane/service/pace";
import { Call, type Ledger } from "../call/call.ts";
import type { Metrics } from "../measure/metrics.ts";
import { tooMuchHeld, type BytesHolder, type HeldBytes } from "./held-bytes.ts";
import type { Caller } from "../call/caller.ts";
import { callerOf, shareOfFunction } from "./from-function.ts";
import { Gathered } from "./gathered.ts";
import { Outlet, type OutletOwner } from "./outlet.ts";
import { discardRest, problemOf, sendProblem } from "./problem.ts";
import { StreamedBody } from "./request-body.ts";
import type { RequestHead } from "./request-head.ts";
import { clientNetwork, forwardedClient } from "./client-network.ts";

/** Bodies that are gathered, and answers that are not taken. Each has its own room, so that nobody's body cuts another's answer. */
export interface Held {
  bodies: HeldBytes;
  answers: HeldBytes;
}

/** What all clients' connections share. */
export interface Shared {
  ledger: Ledger;
  held: Held;
  metrics: Pick<Metrics, "refusedHeld" | "refusedLate">;
  refusals: Pace;
  isTrustedProxy: (address: string | undefined) => boolean;
  /** The connection's next request may be served. */
  answered(socket: Socket): void;
  /** How long a client may take nothing of what waits for it, milliseconds. */
  stalledWriteMs: number;
}

const kCaller = Symbol("caller");
type HeldResponse = ServerResponse & { [kCaller]?: HttpCaller };

/** What is held for one request, and what becomes of the request when its bytes are needed for others. */
class Hold implements BytesHolder {
  readonly address: string | undefined;
  readonly evicted: () => void;
  constructor(address: string | undefined, evicted: () => void) {
    this.address = address;
    this.evicted = evicted;
  }
}

export class HttpCaller implements Caller, OutletOwner {
  readonly call: Call;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Undefined until the head has been read and found valid. */
  head: RequestHead | undefined = undefined;
  private continued = false;
  readonly shared: Shared;
  /** Made when something is held. */
  private holds: Partial<Record<keyof Held, Hold>> | undefined = undefined;
  /** Made with the first piece of an answer that comes in several. */
  private outlet: Outlet | undefined = undefined;
  private trailers: [string, string][] | undefined = undefined;
  /** Runs while the client takes nothing. */
  private stalled: NodeJS.Timeout | undefined = undefined;
  /** Runs until the refusal is sent. */
  private patience: NodeJS.Timeout | undefined = undefined;

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
    const gathered = new Gathered(this.bodyLength);
    return new Promise((resolve, reject) => {
      const take = (chunk: Buffer): void => {
        if (call.phase === "over") return stop(); // evicted, or late
        call.bytesIn += chunk.length;
        gathered.add(chunk);
        // What has come, not what was announced: a head costs nothing.
        if (this.hold("bodies", gathered.capacity)) return;
        stop();
        reject(tooMuchHeld());
      };
      const stop = (): void => {
        request.off("data", take); // the rest is read off, and not kept
        gathered.take();
      };
      request.on("data", take);
      request.once("end", () => resolve(gathered.take()));
      request.once("close", () => resolve(undefined));
    });
  }
  streamBody(): StreamedBody {
    this.mayContinue();
    return new StreamedBody(this.call, this.request, (bytes) => this.hold("bodies", bytes));
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
    return (this.outlet ??= new Outlet(this.response, this)).write(chunk);
  }
  /** What the client has not taken yet is bounded in time and, over all clients, in bytes. */
  waits(bytes: number): void {
    this.stalled ??= setTimeout(onStalled, this.shared.stalledWriteMs, this);
    if (!this.hold("answers", bytes)) this.cut();
  }
  taken(): void {
    this.stalled?.refresh();
  }
  empty(wasFull: boolean): void {
    this.clearStalled();
    this.release("answers");
    if (wasFull) this.call.holder?.drained();
  }
  /** Sets what is held; false: too much. */
  private hold(what: keyof Held, bytes: number): boolean {
    const holds = (this.holds ??= {});
    const hold = (holds[what] ??= new Hold(this.address, () => this.evicted(what)));
    if (this.shared.held[what].hold(hold, bytes)) return true;
    this.shared.metrics.refusedHeld += 1;
    return false;
  }
  private evicted(what: keyof Held): void {
    this.shared.metrics.refusedHeld += 1;
    if (what === "answers") this.cut();
    else this.call.fail(tooMuchHeld());
  }
  private release(what: keyof Held): void {
    const hold = this.holds?.[what];
    if (hold !== undefined) this.shared.held[what].hold(hold, 0);
  }
  private clearStalled(): void {
    clearTimeout(this.stalled);
    this.stalled = undefined;
  }
  /** Nothing of this request is held any more. */
  letGo(): void {
    this.clearStalled();
    clearTimeout(this.patience);
    if (this.holds === undefined) return;
    this.release("bodies");
    this.release("answers");
    this.holds = undefined;
  }
  /** Whose share this request is of; undefined: of one of many clients, behind a proxy that does not say which. */
  get address(): string | undefined {
    const from = callerOf(this.request.socket);
    if (from !== undefined) return shareOfFunction(from);
    const { remoteAddress } = this.request.socket;
    if (remoteAddress === undefined) return undefined;
    return this.shared.isTrustedProxy(remoteAddress)
      ? forwardedClient(this.head?.forwardedFor, this.shared.isTrustedProxy)
      : clientNetwork(remoteAddress);
  }
  addTrailer(name: string, value: string): void {
    (this.trailers ??= []).push([name, value]);
  }
  /** A whole body is sent together with its head as one string in one write. Latin-1 keeps every byte. */
  end(body?: Buffer): void {
    const { response } = this;
    const tail = this.outlet?.takeTail();
    if (tail !== undefined) response.write(tail);
    if (this.trailers !== undefined) this.addTrailers(this.trailers);
    if (body === undefined) response.end();
    else response.end(body.toString("latin1"), "latin1");
    const left = response.socket?.writableLength ?? 0;
    if (left > 0) this.waits(left);
  }
  /** Node keeps those of the last call only. */
  private addTrailers(trailers: [string, string][]): void {
    try {
      this.response.addTrailers(trailers);
    } catch {
      // A malformed trailer drops them all, because the body before them was complete.
    }
  }
  refuse(error: PlatformError): void {
    if (this.response.headersSent) return this.cut();
    const problem = problemOf(this.call, error);
    // Where nobody tells many clients apart, none of them shall pay for the others.
    const payer = this.isStranger ? this.address : undefined;
    const wait = payer === undefined ? 0 : this.shared.refusals.wait(payer);
    if (wait === 0) return sendProblem(this, problem);
    this.shared.metrics.refusedLate += 1;
    this.patience = setTimeout(sendProblem, Math.ceil(wait), this, problem);
  }
  /** Whoever has no right that others lack. */
  private get isStranger(): boolean {
    return this.call.route === undefined || this.call.route.access === "public";
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
