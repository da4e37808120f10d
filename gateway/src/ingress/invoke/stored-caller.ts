// A caller that has its request's body in memory and keeps the answer there, for invocations without a client's connection.
import { Readable } from "node:stream";
import { PROBLEM_TYPE, toProblem, type PlatformError } from "@fnctl/control-plane/contract/errors";
import { Call, type Ledger } from "../call/call.ts";
import type { Caller } from "../call/caller.ts";
import { GATEWAY_LIMITS } from "../limits.ts";

export interface StoredAnswer {
  status: number;
  /** Flat list. */
  headers: string[];
  /** The first `GATEWAY_LIMITS.storedAnswerBytes` of the body. */
  body: Buffer;
  /** False when the body was longer, or was cut before its end. */
  whole: boolean;
}

export class StoredCaller implements Caller {
  readonly call: Call;
  /** Settles when the call is over, whatever its end. */
  readonly answer: Promise<StoredAnswer>;
  private readonly body: Buffer;
  private readonly kept: Buffer[] = [];
  private room: number = GATEWAY_LIMITS.storedAnswerBytes;
  private whole = true;
  private status = 0;
  private headers: string[] = [];
  private settle: (answer: StoredAnswer) => void = () => undefined;

  constructor(request: { method: string; path: string; requestId: string; body?: Buffer }, ledger: Ledger) {
    this.body = request.body ?? Buffer.alloc(0);
    this.answer = new Promise((resolve) => (this.settle = resolve));
    this.call = new Call(request.method, request.path, this, ledger);
    this.call.requestId = request.requestId;
  }

  readonly address = undefined;
  get bodyLength(): number {
    return this.body.length;
  }
  gatherBody(): Promise<Buffer> {
    this.call.bytesIn += this.body.length;
    return Promise.resolve(this.body);
  }
  streamBody(): Readable {
    this.call.bytesIn += this.body.length;
    this.call.bodyDoneAt = performance.now();
    return Readable.from([this.body], { objectMode: false });
  }

  hint(): void {}
  writeHead(status: number, headers: string[]): void {
    this.status = status;
    this.headers = headers;
  }
  flushHead(): void {}
  /** Bytes beyond the stored size are read and dropped; the function's own deadline limits how long. */
  write(chunk: Buffer): boolean {
    // Copied, so that a few bytes do not keep the whole block in memory in which they came.
    if (this.room > 0) this.kept.push(Buffer.from(chunk.subarray(0, this.room)));
    if (chunk.length > this.room) this.whole = false;
    this.room = Math.max(0, this.room - chunk.length);
    return true;
  }
  addTrailer(): void {}
  end(body?: Buffer): void {
    if (body !== undefined) this.write(body);
    this.settle({ status: this.status, headers: this.headers, body: Buffer.concat(this.kept), whole: this.whole });
  }
  refuse(error: PlatformError): void {
    const problem = toProblem(error, this.call.requestId);
    this.call.status = this.status = problem.status;
    this.headers = ["content-type", PROBLEM_TYPE];
    this.end(Buffer.from(JSON.stringify(problem)));
  }
  cut(): void {
    this.whole = false;
    this.end();
  }
  /** Nobody waits for the answer any more. */
  giveUp(): void {
    this.call.callerGone();
    this.cut();
  }
}
