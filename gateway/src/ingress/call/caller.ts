// Who asks, as ingress knows it: where a request's body comes from, and where the answer goes. A client's connection is one such caller
// (`http/http-caller.ts`), bytes that are here already are another (`invoke/stored-caller.ts`).
import type { Readable } from "node:stream";
import type { PlatformError } from "@fnctl/control-plane/contract/errors";

/** Where a request's body comes from. */
export interface BodySource {
  /** Bytes; 0: there is none; -1: not known before its end. */
  readonly bodyLength: number;
  /** The whole body, or undefined when the caller went away before its end. For bodies of a known, small length. */
  gatherBody(): Promise<Buffer | undefined>;
  /** The body as it comes, with backpressure. Asked for a second time only when nothing was read of the first. */
  streamBody(): Readable;
}

/** Where an answer goes: once `hint` any number of times, `writeHead`, `write` any number of times, `end`; or `refuse`; or, at any time, `cut`. */
export interface ReplySink {
  /** `Link` fields that the caller may use before the answer is there (status 103, RFC 8297). */
  hint(links: string[]): void;
  /** Status and fields, as a flat list. Throws when a field is not fit for the wire; then nothing was sent. */
  writeHead(status: number, headers: string[]): void;
  /** The head must not wait for the first bytes of the body. */
  flushHead(): void;
  /** False: the caller takes no more for now; the call's holder is told by `drained` when it does. */
  write(chunk: Buffer): boolean;
  addTrailer(name: string, value: string): void;
  /** `body`: all of it, for an answer of which nothing was written yet. */
  end(body?: Buffer): void;
  /** The platform's own answer instead of the function's. Sets the call's status. */
  refuse(error: PlatformError): void;
  /** The rest of the answer will not come, and the caller must see that. */
  cut(): void;
}

export interface Caller extends BodySource, ReplySink {}
