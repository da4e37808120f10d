// A client's request body on its way to an instance, with backpressure and a byte cap.
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import type { Call } from "../call/call.ts";
import { Gathered } from "./gathered.ts";
import { tooMuchHeld } from "./held-bytes.ts";

/**
 * A separate stream instead of the request itself: undici destroys the body it was given when an exchange fails, and that would close the
 * client's connection before the error could be sent. The cap counts the actual bytes, whatever length was announced (SECURITY D5).
 */
export class StreamedBody extends Readable {
  private readonly call: Call;
  private readonly source: IncomingMessage;
  private readonly hold: (bytes: number) => boolean;
  private attached = false;
  /** The function takes more: what has come goes to it at the end of the turn, otherwise it waits here. */
  private wanted = false;
  private readonly held = new Gathered();
  private flushing: NodeJS.Immediate | undefined = undefined;
  private readonly onData = (chunk: Buffer): void => {
    this.call.bytesIn += chunk.length;
    if (this.call.bytesIn > LIMITS.requestBodyBytes) return void this.destroy(tooLarge());
    this.held.add(chunk);
    if (!this.count()) return void this.destroy(tooMuchHeld());
    this.flushing ??= setImmediate(flush, this);
  };
  private readonly onEnd = (): void => {
    this.call.bodyDoneAt = performance.now();
    if (this.held.length > 0) this.push(this.held.take());
    this.push(null);
  };

  /** `hold` sets how many bytes are kept for it; false: too many. */
  constructor(call: Call, source: IncomingMessage, hold: (bytes: number) => boolean) {
    // One piece at a time: more would wait as they came, byte by byte if a client sends them so.
    super({ highWaterMark: 1 });
    this.call = call;
    this.source = source;
    this.hold = hold;
  }
  private count(): boolean {
    return this.hold(this.held.capacity + this.readableLength);
  }
  /** What comes in one turn is passed on at once: a client may send byte by byte, and each write costs the others their turn. */
  flush(): void {
    clearImmediate(this.flushing);
    this.flushing = undefined;
    if (this.wanted && this.held.length > 0) {
      this.wanted = false;
      this.push(this.held.take());
    }
    if (this.held.length >= HELD_BYTES) this.source.pause();
    this.count();
  }
  override _read(): void {
    this.wanted = true;
    if (!this.attached) {
      this.attached = true;
      this.source.on("data", this.onData).on("end", this.onEnd);
    } else if (this.held.length > 0) this.flushing ??= setImmediate(flush, this);
    this.source.resume();
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.source.off("data", this.onData).off("end", this.onEnd);
    clearImmediate(this.flushing);
    // A request that was not sent goes again, with another stream, for which nothing may be lost. Otherwise too: whoever answers reads the rest
    // off (`discardRest`), and a body beyond the cap that went on meanwhile was reset before its client had the answer.
    this.source.pause();
    this.held.take();
    this.hold(0);
    done(error);
  }
}

/** So much waits for a function that takes no more; then its client waits. */
const HELD_BYTES = 64 * 1024;

const tooLarge = (): PlatformError => new PlatformError("PAYLOAD_TOO_LARGE", `The body is larger than ${LIMITS.requestBodyBytes} bytes.`);
const flush = (body: StreamedBody): void => body.flush();
