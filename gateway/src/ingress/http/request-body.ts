// A request body on its way to an instance: either gathered (small, known length) or streamed with backpressure and a byte cap.
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import type { RequestContext } from "./request-context.ts";

/**
 * Not the request itself: undici destroys the body it was given when an exchange fails, and that would take the client's
 * connection with it before the error could be told. The cap counts bytes as they pass, whatever was announced (SECURITY D5).
 */
export class StreamedBody extends Readable {
  private readonly context: RequestContext;
  private readonly source: IncomingMessage;
  private attached = false;
  private readonly onData = (chunk: Buffer): void => {
    this.context.bytesIn += chunk.length;
    if (this.context.bytesIn > LIMITS.requestBodyBytes) this.destroy(tooLarge());
    else if (!this.push(chunk)) this.source.pause();
  };
  private readonly onEnd = (): void => {
    this.push(null);
  };

  constructor(context: RequestContext) {
    super({ highWaterMark: 64 * 1024 });
    this.context = context;
    this.source = context.request;
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
    done(error);
  }
}

const tooLarge = (): PlatformError => new PlatformError("PAYLOAD_TOO_LARGE", `The body is larger than ${LIMITS.requestBodyBytes} bytes.`);

/** Reads a body whose whole length is known and small, then calls `done`. Calls nothing when the client goes away. */
export function gatherBody(context: RequestContext, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  context.request.on("data", (chunk: Buffer) => {
    context.bytesIn += chunk.length;
    chunks.push(chunk);
  });
  context.request.on("end", () => done(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
}
