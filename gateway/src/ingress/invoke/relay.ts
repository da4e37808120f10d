// Streams one upstream answer to a call's caller, with backpressure, in as few writes as possible. An undici handler without closures:
// one object per request.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Dispatcher } from "undici";
import type { Call } from "../call/call.ts";
import { addPlatformFields } from "../http/platform-fields.ts";
import { readResponseHead, readTrailers, type Fields, type ResponseHead } from "../http/response-head.ts";
import { eachOf } from "../fleet/each-of.ts";
import { GATEWAY_LIMITS } from "../limits.ts";

const isEmpty = (fields: Fields): boolean => {
  for (const _name in fields) return false;
  return true;
};

/** Owns a relay, and decides what a failure of the upstream means. */
export interface RelayOwner {
  /** False: the request must not be written to this connection now, which is lost; `failed` gets `NOT_YET`. */
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
  /** What has come and was not sent on: the first chunk, which is often all there is, and more. */
  private held: Buffer | undefined = undefined;
  private more: Buffer[] | undefined = undefined;
  private heldBytes = 0;
  private isScheduled = false;
  private interim = 0;
  /** Set when the upstream's answer is whole. */
  private trailers: Fields | undefined = undefined;
  /** Since when the caller takes no more, on the monotonic clock, so that the upstream must wait; 0: it takes. */
  private pausedAt = 0;
  private pausedForMs = 0;
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
    if (this.pausedAt === 0) return;
    this.pausedForMs = this.pausedMs;
    this.pausedAt = 0;
    if (this.call.phase !== "over") this.controller?.resume(); // the connection may have another request by now
  }
  /** For how long in all the upstream had to wait for the caller, milliseconds. */
  get pausedMs(): number {
    return this.pausedForMs + (this.pausedAt === 0 ? 0 : performance.now() - this.pausedAt);
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

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, fields: Fields): void {
    if (status < 200) return this.interimResponse(status, fields);
    this.status = status;
    this.head = readResponseHead(fields, {
      dropCookies: this.call.sandboxed,
      sharesOrigin: this.call.sharesOrigin,
    });
    this.flushSoon(); // a body that comes in the same turn is sent with it, and it does not wait for one that does not
  }

  /** Passes 103 on (RFC 8297); other interim answers mean nothing to the client and are dropped. */
  private interimResponse(status: number, { link }: Fields): void {
    this.interim += 1;
    if (this.interim > GATEWAY_LIMITS.interimResponses)
      throw new PlatformError("FUNCTION_BAD_RESPONSE", "The function sends interim answers without end.");
    if (status !== 103 || this.call.phase === "over") return;
    if (link !== undefined) this.call.caller.hint([link].flat());
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { call } = this;
    if (call.phase === "over") return;
    call.bytesOut += chunk.length;
    if (this.held === undefined) this.held = chunk;
    else (this.more ??= []).push(chunk);
    this.heldBytes += chunk.length;
    if (this.heldBytes > GATEWAY_LIMITS.singleWriteBytes) this.flush();
    else this.flushSoon();
  }
  /** What comes in one turn is sent in one write: a function may answer byte by byte, and each write costs the others their turn. */
  private flushSoon(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    if (unflushed.length === 0) setImmediate(flushAll);
    unflushed.push(this);
  }
  private takeHeld(): Buffer | undefined {
    const { held, more } = this;
    this.held = this.more = undefined;
    this.heldBytes = 0;
    return held === undefined || more === undefined ? held : Buffer.concat([held, ...more]);
  }
  private pause(controller: Dispatcher.DispatchController): void {
    this.pausedAt ||= performance.now();
    controller.pause();
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: Fields): void {
    if (this.call.phase === "over") return;
    this.trailers = trailers;
    this.flushSoon();
  }
  private finish(trailers: Fields): void {
    const { call } = this;
    const now = performance.now();
    try {
      if (call.phase !== "answering" && isEmpty(trailers)) this.writeWhole(now);
      else {
        this.write();
        for (const [name, value] of readTrailers(trailers)) call.caller.addTrailer(name, value);
        call.caller.end();
      }
    } catch (error) {
      return this.owner.failed(error as Error);
    }
    call.complete(now);
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.call.phase === "answering") this.flush();
    if (this.call.phase !== "over") this.owner.failed(error);
  }

  /** Sends head and body together, when both have arrived completely. */
  private writeWhole(now: number): void {
    const head = this.head!;
    const body = this.takeHeld();
    if (head.contentLength === -1 && this.mayHaveBody()) head.contentLength = body === undefined ? 0 : body.length;
    this.sendHead(head, now);
    this.call.caller.end(body);
  }
  private mayHaveBody(): boolean {
    return this.call.method !== "HEAD" && this.status !== 204 && this.status !== 304;
  }

  /** Sends the head, if it is still here, and the part of the body that is held. */
  private write(): void {
    const { caller, phase } = this.call;
    if (phase !== "answering") this.sendHead(this.head!);
    const held = this.takeHeld();
    if (held === undefined) caller.flushHead();
    else if (!caller.write(held) && this.controller !== undefined) this.pause(this.controller);
  }
  /** Throws when a field is invalid in HTTP; then nothing was sent, and a problem document can still be answered. */
  private sendHead(head: ResponseHead, now = performance.now()): void {
    const { call } = this;
    call.status = this.status;
    // For the API it is the time to the end, set when the call closes: its streams are the answer.
    if (call.route !== undefined) call.functionMs = now - call.sentAt;
    addPlatformFields(head.headers, call, head.hasCors);
    // RFC 9110 section 8.6: an answer of status 204 has no length.
    if (head.contentLength !== -1 && this.status !== 204) head.headers.push("content-length", String(head.contentLength));
    call.caller.writeHead(this.status, head.headers);
    call.phase = "answering";
  }
  /** Sends now what is held back. */
  flush(): void {
    this.isScheduled = false;
    const { phase } = this.call;
    if (this.head === undefined || phase === "over") return;
    if (this.trailers !== undefined) return this.finish(this.trailers);
    if (phase === "answering" && this.heldBytes === 0) return;
    try {
      this.write();
    } catch (error) {
      this.controller?.abort(error as Error);
    }
  }
}

/** One shared error for all aborts, because its stack is of no use. */
const ABORTED = new Error("aborted");
export const NOT_YET = new Error("not yet");

/** Relays that hold something back; one setImmediate flushes all of them. */
let unflushed: Relay[] = [];
function flushAll(): void {
  const relays = unflushed;
  unflushed = [];
  eachOf(relays, (relay) => relay.flush());
}
