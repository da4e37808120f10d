// Streams one upstream answer to the client, with backpressure, in as few writes as possible. An undici handler without closures:
// one object per request. Subclasses say what is added to the head and what the end means.
import type { ServerResponse } from "node:http";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Dispatcher } from "undici";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { RequestContext } from "../http/request-context.ts";
import { readResponseHead, readTrailers, type ResponseHead } from "../http/response-head.ts";

type Raw = readonly (Buffer | string)[];
const NO_TRAILERS: Raw = [];
const rawOf = (list: unknown): Raw => (Array.isArray(list) ? (list as Raw) : NO_TRAILERS);
const kRelay = Symbol("relay");
export type RelayedResponse = ServerResponse & { [kRelay]?: Relay };

export abstract class Relay implements Dispatcher.DispatchHandler {
  readonly context: RequestContext;
  controller: Dispatcher.DispatchController | undefined = undefined;
  /** The upstream has the request: it must not be sent again. */
  started = false;
  /** Nothing more goes to the client from here. */
  settled = false;
  headWritten = false;
  private status = 0;
  private head: ResponseHead | undefined = undefined;
  private held: Buffer | undefined = undefined;
  private interim = 0;
  private waitsForDrain = false;

  constructor(context: RequestContext) {
    this.context = context;
    (context.response as RelayedResponse)[kRelay] = this;
    context.response.on("close", onClientClosed);
  }

  /** Fields that the platform adds to the answer; called once, when its head is written. */
  protected abstract addHeaders(head: ResponseHead): void;
  /** The answer has been handed over whole. */
  protected abstract completed(): void;
  /** The upstream failed; `error` is undici's. */
  protected abstract failed(error: Error): void;
  /** The client went away before the end. */
  protected abstract clientGone(): void;

  get pausedByClient(): boolean {
    return this.waitsForDrain;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.started = true;
    this.controller = controller;
    if (this.settled) controller.abort(ABORTED);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) return this.interimResponse(controller, status);
    this.status = status;
    this.head = readResponseHead(rawOf(controller.rawHeaders), {
      dropCookies: this.context.sandboxed,
      sharesOrigin: this.context.sharesOrigin,
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
    if (status !== 103 || this.context.request.httpVersion === "1.0" || this.settled) return;
    const raw = rawOf(controller.rawHeaders);
    const links: string[] = [];
    for (let i = 0; i < raw.length; i += 2) if (String(raw[i]).toLowerCase() === "link") links.push(String(raw[i + 1]));
    try {
      if (links.length > 0) this.context.response.writeEarlyHints({ link: links });
    } catch {
      // Node takes well-formed Link values only; a hint is never worth a failed request.
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.settled) return;
    this.context.bytesOut += chunk.length;
    if (!this.headWritten && chunk.length + (this.held?.length ?? 0) <= GATEWAY_LIMITS.singleWriteBytes) {
      this.held = this.held === undefined ? chunk : Buffer.concat([this.held, chunk]);
      return;
    }
    if (!this.headWritten) this.writeHead();
    if (!this.context.response.write(chunk)) this.pause(controller);
  }

  private pause(controller: Dispatcher.DispatchController): void {
    controller.pause();
    if (this.waitsForDrain) return;
    this.waitsForDrain = true;
    this.context.response.once("drain", onDrain);
  }
  resumeUpstream(): void {
    this.waitsForDrain = false;
    this.controller?.resume();
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.settled) return;
    const trailers = rawOf((controller as { rawTrailers?: unknown }).rawTrailers);
    if (!this.headWritten && trailers.length === 0) this.writeWhole();
    else {
      if (!this.headWritten) this.writeHead();
      if (trailers.length > 0) this.addTrailers(trailers);
      this.context.response.end();
    }
    this.settled = true;
    this.completed();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (!this.settled) this.failed(error);
  }

  /** Head and body are both here: one string, one write. Latin-1 keeps every byte. */
  private writeWhole(): void {
    const { response } = this.context;
    const head = this.prepareHead();
    const body = this.held;
    if (head.contentLength === -1 && this.mayHaveBody()) head.contentLength = body === undefined ? 0 : body.length;
    this.sendHead(head);
    if (body === undefined) response.end();
    else response.end(body.toString("latin1"), "latin1");
  }
  private mayHaveBody(): boolean {
    return this.context.method !== "HEAD" && this.status !== 204 && this.status !== 304;
  }

  private prepareHead(): ResponseHead {
    const head = this.head!;
    this.context.status = this.status;
    this.addHeaders(head);
    return head;
  }
  /** The head, and what of the body was held back for it. */
  private writeHead(): void {
    this.sendHead(this.prepareHead());
    const { held, controller } = this;
    if (held === undefined) this.context.response.flushHeaders();
    else if (!this.context.response.write(held) && controller !== undefined) this.pause(controller);
    this.held = undefined;
  }
  /** Throws when a field is not fit for the wire; then nothing was sent and a problem can still be told. */
  private sendHead(head: ResponseHead): void {
    if (head.contentLength !== -1) head.headers.push("content-length", String(head.contentLength));
    this.context.response.writeHead(this.status, head.headers);
    this.headWritten = true;
  }
  /** What could be held back no longer. */
  flush(): void {
    if (this.settled || this.headWritten || this.head === undefined) return;
    try {
      this.writeHead();
    } catch (error) {
      this.controller?.abort(error as Error);
    }
  }
  private addTrailers(raw: Raw): void {
    for (const trailer of readTrailers(raw)) {
      try {
        this.context.response.addTrailers([trailer]);
      } catch {
        // A malformed trailer is dropped; the body before it was whole.
      }
    }
  }
  /** Called by the response's `close`. */
  closed(): void {
    if (this.settled) return;
    this.settled = true;
    this.controller?.abort(ABORTED);
    this.clientGone();
  }
}

/** One error for all aborts: its stack says nothing. */
export const ABORTED = new Error("aborted");

/** Heads whose bodies have not come yet; one immediate serves all of a turn of the event loop. */
let unflushed: Relay[] = [];
function flushHeads(): void {
  const relays = unflushed;
  unflushed = [];
  for (const relay of relays) relay.flush();
}
function onClientClosed(this: RelayedResponse): void {
  this[kRelay]?.closed();
}
function onDrain(this: RelayedResponse): void {
  this[kRelay]?.resumeUpstream();
}
