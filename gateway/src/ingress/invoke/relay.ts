// Streams one upstream answer to a call's caller, with backpressure, in as few writes as possible. An undici handler without closures:
// one object per request.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Dispatcher } from "undici";
import type { Call } from "../call/call.ts";
import { addPlatformFields } from "../http/platform-fields.ts";
import { readResponseHead, readTrailers, type ResponseHead } from "../http/response-head.ts";
import { GATEWAY_LIMITS } from "../limits.ts";

type Raw = readonly (Buffer | string)[];
const NO_TRAILERS: Raw = [];
const rawOf = (list: unknown): Raw => (Array.isArray(list) ? (list as Raw) : NO_TRAILERS);

/** Owns a relay, and decides what a failure of the upstream means. */
export interface RelayOwner {
  /** False: the request must not be written to this connection now; `failed` gets `NOT_YET`. */
  mayGo(): boolean;
  /** `error` comes from undici, or was thrown by a check of the answer. The call is not over yet. */
  failed(error: Error): void;
}

export class Relay implements Dispatcher.DispatchHandler {
  private readonly call: Call;
  private readonly owner: RelayOwner;
  private controller: Dispatcher.DispatchController | undefined = undefined;
  private status = 0;
  private head: ResponseHead | undefined = undefined;
  private held: Buffer | undefined = undefined;
  private interim = 0;
  /** The caller takes no more for now, so the upstream must wait. */
  paused = false;
  /** The request was sent to the instance, or a part of it, so that its handler may run. */
  sent = false;

  constructor(call: Call, owner: RelayOwner) {
    this.call = call;
    this.owner = owner;
  }

  /** Cuts the upstream's connection, or prevents that the request is sent. For a call that is over. */
  abort(): void {
    this.controller?.abort(ABORTED);
  }
  /** The caller takes bytes again. */
  resume(): void {
    this.paused = false;
    this.controller?.resume();
  }

  /** Called right before the request is written. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.call.phase === "over") controller.abort(ABORTED);
    else if (!this.owner.mayGo()) controller.abort(NOT_YET);
    else {
      this.call.phase = "started";
      this.sent = true;
    }
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) return this.interimResponse(controller, status);
    this.status = status;
    this.head = readResponseHead(rawOf(controller.rawHeaders), {
      dropCookies: this.call.sandboxed,
      sharesOrigin: this.call.sharesOrigin,
    });
    // If the body comes in the same read, everything is sent in one write; otherwise the head must not wait for it.
    if (unflushed.length === 0) setImmediate(flushHeads);
    unflushed.push(this);
  }

  /** Passes 103 on (RFC 8297); other interim answers mean nothing to the client and are dropped. */
  private interimResponse(controller: Dispatcher.DispatchController, status: number): void {
    this.interim += 1;
    if (this.interim > GATEWAY_LIMITS.interimResponses)
      throw new PlatformError("FUNCTION_BAD_RESPONSE", "The function sends interim answers without end.");
    if (status !== 103 || this.call.phase === "over") return;
    const raw = rawOf(controller.rawHeaders);
    const links: string[] = [];
    for (let i = 0; i < raw.length; i += 2) if (String(raw[i]).toLowerCase() === "link") links.push(String(raw[i + 1]));
    if (links.length > 0) this.call.caller.hint(links);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { call } = this;
    if (call.phase === "over") return;
    call.bytesOut += chunk.length;
    if (call.phase !== "answering") {
      if (chunk.length + (this.held?.length ?? 0) <= GATEWAY_LIMITS.singleWriteBytes) {
        this.held = this.held === undefined ? chunk : Buffer.concat([this.held, chunk]);
        return;
      }
      this.writeHead();
    }
    if (!call.caller.write(chunk)) this.pause(controller);
  }
  private pause(controller: Dispatcher.DispatchController): void {
    this.paused = true;
    controller.pause();
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    const { call } = this;
    if (call.phase === "over") return;
    const trailers = rawOf((controller as { rawTrailers?: unknown }).rawTrailers);
    if (call.phase !== "answering" && trailers.length === 0) this.writeWhole();
    else {
      if (call.phase !== "answering") this.writeHead();
      for (const [name, value] of readTrailers(trailers)) call.caller.addTrailer(name, value);
      call.caller.end();
    }
    call.complete();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.call.phase !== "over") this.owner.failed(error);
  }

  /** Sends head and body together, when both have arrived completely. */
  private writeWhole(): void {
    const head = this.head!;
    const body = this.held;
    if (head.contentLength === -1 && this.mayHaveBody()) head.contentLength = body === undefined ? 0 : body.length;
    this.sendHead(head);
    this.call.caller.end(body);
  }
  private mayHaveBody(): boolean {
    return this.call.method !== "HEAD" && this.status !== 204 && this.status !== 304;
  }

  /** Sends the head, and the part of the body that was held back. */
  private writeHead(): void {
    const { held, controller } = this;
    const { caller } = this.call;
    this.sendHead(this.head!);
    this.held = undefined;
    if (held === undefined) caller.flushHead();
    else if (!caller.write(held) && controller !== undefined) this.pause(controller);
  }
  /** Throws when a field is invalid in HTTP; then nothing was sent, and a problem document can still be answered. */
  private sendHead(head: ResponseHead): void {
    const { call } = this;
    call.status = this.status;
    // For the API it is the time to the end, set when the call closes: its streams are the answer.
    if (call.route !== undefined) call.functionMs = performance.now() - call.sentAt;
    addPlatformFields(head.headers, call, head.hasCors);
    if (head.contentLength !== -1) head.headers.push("content-length", String(head.contentLength));
    call.caller.writeHead(this.status, head.headers);
    call.phase = "answering";
  }
  /** Sends the head now, because it must not be held back any longer. */
  flush(): void {
    if (this.head === undefined || this.call.phase !== "started") return;
    try {
      this.writeHead();
    } catch (error) {
      this.controller?.abort(error as Error);
    }
  }
}

/** One shared error for all aborts, because its stack is of no use. */
const ABORTED = new Error("aborted");
export const NOT_YET = new Error("not yet");

/** Relays that hold back a head, because its body has not come yet; one setImmediate flushes all of them. */
let unflushed: Relay[] = [];
function flushHeads(): void {
  const relays = unflushed;
  unflushed = [];
  for (const relay of relays) relay.flush();
}
