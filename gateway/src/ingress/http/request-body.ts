// A client's request body on its way to an instance, with backpressure and a byte cap.
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import type { Call } from "../call/call.ts";

/**
 * A separate stream instead of the request itself: undici destroys the body it was given when an exchange fails, and that would close the
 * client's connection before the error could be sent. The cap counts the actual bytes, whatever length was announced (SECURITY D5).
 */
export class StreamedBody extends Readable {
  private readonly call: Call;
  private readonly source: IncomingMessage;
  private attached = false;
  private held: Buffer[] = [];
  private flushing: NodeJS.Immediate | undefined = undefined;
  private readonly onData = (chunk: Buffer): void => {
    this.call.bytesIn += chunk.length;
    if (this.call.bytesIn > LIMITS.requestBodyBytes) return void this.destroy(tooLarge());
    this.held.push(chunk);
    this.flushing ??= setImmediate(flush, this);
  };
  private readonly onEnd = (): void => {
    this.call.bodyDoneAt = performance.now();
    this.flush();
    this.push(null);
  };

  constructor(call: Call, source: IncomingMessage) {
    super({ highWaterMark: 64 * 1024 });
    this.call = call;
    this.source = source;
  }
  /** What comes in one turn is passed on at once: a client may send byte by byte, and each write costs the others their turn. */
  flush(): void {
    clearImmediate(this.flushing);
    this.flushing = undefined;
    const held = this.held.length === 1 ? this.held[0]! : Buffer.concat(this.held);
    this.held = [];
    if (held.length > 0 && !this.push(held)) this.source.pause();
  }
  override _read(): void {
    if (!this.attached) {
      this.attached = true;
      this.source.on("data", this.onData).on("end", this.onEnd);
    }
    this.source.resume();
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.source.off("data", this.onData).off("end", this.onEnd);
    clearImmediate(this.flushing);
    // A request that was not sent goes again, with another stream, for which nothing may be lost. Otherwise too: whoever answers reads the rest
    // off (`discardRest`), and a body beyond the cap that went on meanwhile was reset before its client had the answer.
    this.source.pause();
    done(error);
  }
}

const tooLarge = (): PlatformError => new PlatformError("PAYLOAD_TOO_LARGE", `The body is larger than ${LIMITS.requestBodyBytes} bytes.`);
const flush = (body: StreamedBody): void => body.flush();
