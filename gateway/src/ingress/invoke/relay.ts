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

/** Whose relay it is: says what a failure of the upstream means. */
export interface RelayOwner {
  /** `error` is undici's, or what a check of the answer threw. The call is not over. */
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

  constructor(call: Call, owner: RelayOwner) {
    this.call = call;
    this.owner = owner;
  }

  /** The upstream's connection is cut, or the request not sent. For a call that is over. */
  abort(): void {
    this.controller?.abort(ABORTED);
  }
  /** The caller takes bytes again. */
  resume(): void {
    this.paused = false;
    this.controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.call.phase === "over") controller.abort(ABORTED);
    else this.call.phase = "started";
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) return this.interimResponse(controller, status);
    this.status = status;
    this.head = readResponseHead(rawOf(controller.rawHeaders), {
      dropCookies: this.call.sandboxed,
      sharesOrigin: this.call.sharesOrigin,
    });
    // If the body is here in the same read, all leaves in one write; else the head must not wait for it.
    if (unflushed.length === 0) setImmediate(flushHeads);
    unflushed.push(this);
  }

  /** 103 passes (RFC 8297); other interim answers mean nothing to the client. */
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

  /** Head and body are both here. */
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

  /** The head, and what of the body was held back for it. */
  private writeHead(): void {
    const { held, controller } = this;
    const { caller } = this.call;
    this.sendHead(this.head!);
    this.held = undefined;
    if (held === undefined) caller.flushHead();
    else if (!caller.write(held) && controller !== undefined) this.pause(controller);
  }
  /** Throws when a field is not fit for the wire; then nothing was sent and a problem can still be told. */
  private sendHead(head: ResponseHead): void {
    const { call } = this;
    call.status = this.status;
    call.functionMs = performance.now() - call.sentAt;
    addPlatformFields(head.headers, call, head.hasCors);
    if (head.contentLength !== -1) head.headers.push("content-length", String(head.contentLength));
    call.caller.writeHead(this.status, head.headers);
    call.phase = "answering";
  }
  /** What could be held back no longer. */
  flush(): void {
    if (this.head === undefined || this.call.phase !== "started") return;
    try {
      this.writeHead();
    } catch (error) {
      this.controller?.abort(error as Error);
    }
  }
}

/** One error for all aborts: its stack says nothing. */
const ABORTED = new Error("aborted");

/** Heads whose bodies have not come yet; one immediate serves all of a turn of the event loop. */
let unflushed: Relay[] = [];
function flushHeads(): void {
  const relays = unflushed;
  unflushed = [];
  for (const relay of relays) relay.flush();
}
