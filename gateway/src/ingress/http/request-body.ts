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
  private readonly onData = (chunk: Buffer): void => {
    this.call.bytesIn += chunk.length;
    if (this.call.bytesIn > LIMITS.requestBodyBytes) this.destroy(tooLarge());
    else if (!this.push(chunk)) this.source.pause();
  };
  private readonly onEnd = (): void => {
    this.call.bodyDoneAt = performance.now();
    this.push(null);
  };

  constructor(call: Call, source: IncomingMessage) {
    super({ highWaterMark: 64 * 1024 });
    this.call = call;
    this.source = source;
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
    this.source.pause(); // or what comes would be lost for the next stream, when nothing of this one was sent
    done(error);
  }
}

const tooLarge = (): PlatformError => new PlatformError("PAYLOAD_TOO_LARGE", `The body is larger than ${LIMITS.requestBodyBytes} bytes.`);
