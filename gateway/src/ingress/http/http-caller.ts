// A client's connection as a caller: it hides node:http's request and response from the call.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { PlatformError } from "@fnctl/control-plane/contract/errors";
import { Call, type Ledger } from "../call/call.ts";
import type { Caller } from "../call/caller.ts";
import { sendProblem } from "./problem.ts";
import { StreamedBody } from "./request-body.ts";
import type { RequestHead } from "./request-head.ts";

const kCaller = Symbol("caller");
type HeldResponse = ServerResponse & { [kCaller]?: HttpCaller };

export class HttpCaller implements Caller {
  readonly call: Call;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Undefined until the head has been read and found valid. */
  head: RequestHead | undefined = undefined;
  private continued = false;
  private waitsForDrain = false;

  constructor(request: IncomingMessage, response: ServerResponse, ledger: Ledger) {
    this.request = request;
    this.response = response;
    // Two shared functions instead of closures for each request, because this is the hottest path of the gateway.
    (response as HeldResponse)[kCaller] = this;
    response.on("close", onClose);
    this.call = new Call(request.method ?? "", request.url ?? "", this, ledger);
  }

  get bodyLength(): number {
    return this.head!.contentLength;
  }
  gatherBody(): Promise<Buffer | undefined> {
    this.mayContinue();
    const { request, call } = this;
    const chunks: Buffer[] = [];
    return new Promise((resolve) => {
      request.on("data", (chunk: Buffer) => {
        call.bytesIn += chunk.length;
        chunks.push(chunk);
      });
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
    if (!this.waitsForDrain) this.response.once("drain", onDrain);
    this.waitsForDrain = true;
    return false;
  }
  drained(): void {
    this.waitsForDrain = false;
    this.call.holder?.drained();
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
  }
  refuse(error: PlatformError): void {
    if (this.response.headersSent) this.cut();
    else sendProblem(this, error);
  }
  cut(): void {
    this.response.destroy();
  }
}

function onClose(this: HeldResponse): void {
  this[kCaller]?.call.callerGone();
}
function onDrain(this: HeldResponse): void {
  this[kCaller]?.drained();
}
