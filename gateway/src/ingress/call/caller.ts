// The interface of a caller: where a request's body comes from, and where the answer goes. One kind of caller is a client's connection
// (`http/http-caller.ts`), another has the body in memory (`invoke/stored-caller.ts`).
import type { Readable } from "node:stream";
import type { PlatformError } from "@fnctl/control-plane/contract/errors";

/** Where a request's body comes from. */
export interface BodySource {
  /** Bytes of the body; 0: there is none; -1: not known before its end. */
  readonly bodyLength: number;
  /** Whose share it is of what clients may have; undefined: of one of many clients that nobody tells apart. */
  readonly address: string | undefined;
  /** The whole body, or undefined when the caller went away before its end. For bodies of a known, small length. */
  gatherBody(): Promise<Buffer | undefined>;
  /** The body as it comes, with backpressure. It is called a second time only if nothing was read of the first stream. */
  streamBody(): Readable;
}

/**
 * Where an answer goes. The calls are: `hint` any number of times, `writeHead` once, `write` any number of times, `end`; or `refuse`; or,
 * at any time, `cut`.
 */
export interface ReplySink {
  /** `Link` fields that the caller may use before the answer is there (status 103, RFC 8297). */
  hint(links: string[]): void;
  /** Sends status and fields (a flat list). Throws when a field is invalid in HTTP; then nothing was sent. */
  writeHead(status: number, headers: string[]): void;
  /** Sends the head now, without waiting for the first bytes of the body. */
  flushHead(): void;
  /** False: the caller takes no more for now; `drained` tells the call's holder when it does again. */
  write(chunk: Buffer): boolean;
  addTrailer(name: string, value: string): void;
  /** `body`: the whole body, for an answer of which nothing was written yet. */
  end(body?: Buffer): void;
  /** Sends the platform's own answer instead of the function's, and sets the call's status. */
  refuse(error: PlatformError): void;
  /** Cuts the answer in such a way that the caller sees that it is incomplete. */
  cut(): void;
}

export interface Caller extends BodySource, ReplySink {}
