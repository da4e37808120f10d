// An answer on its way to its client. What a client does not take at once is gathered, so that few pieces wait for it however small those are that
// the function sends: each would be an object of 200 bytes.
import type { ServerResponse } from "node:http";
import { Gathered } from "./gathered.ts";

/** More than these wait in one. */
const PIECES = 8;
const FULL_BYTES = 64 * 1024;

export interface OutletOwner {
  /** So many bytes wait for the client. Called again whenever there are more. */
  waits(bytes: number): void;
  /** The client has taken a piece, so it lives. */
  taken(): void;
  /** Nothing waits any more; `wasFull`: `write` has answered false since. */
  empty(wasFull: boolean): void;
}

export class Outlet {
  private readonly response: ServerResponse;
  private readonly owner: OutletOwner;
  private pieces = 0;
  private tail: Gathered | undefined = undefined;
  private isFull = false;
  private isEnding = false;

  constructor(response: ServerResponse, owner: OutletOwner) {
    this.response = response;
    this.owner = owner;
  }

  /** False: enough waits; `empty` tells when nothing does. */
  write(chunk: Buffer): boolean {
    if (this.pieces >= PIECES || this.tail !== undefined) (this.tail ??= new Gathered()).add(chunk);
    else if (!this.send(chunk)) this.isFull = true;
    const held = this.tail?.capacity ?? 0;
    if (held >= FULL_BYTES) this.isFull = true;
    // The first piece of a turn waits for nothing but the turn's end.
    if (this.pieces > 1 || this.isFull) this.owner.waits(this.response.writableLength + held);
    return !this.isFull;
  }
  private send(chunk: Buffer): boolean {
    this.pieces += 1;
    return this.response.write(chunk, this.onTaken);
  }
  private readonly onTaken = (error?: Error | null): void => {
    this.pieces -= 1;
    if (error) return;
    this.owner.taken();
    if (this.pieces > 0 || this.isEnding) return;
    if (this.tail !== undefined) {
      const { tail } = this;
      this.tail = undefined;
      return void this.send(tail.take());
    }
    const wasFull = this.isFull;
    this.isFull = false;
    this.owner.empty(wasFull);
  };
  /** What is gathered, to be written before the answer's end. From now on `empty` is not told: what waits is gone when the response has closed. */
  takeTail(): Buffer | undefined {
    this.isEnding = true;
    const tail = this.tail?.take();
    this.tail = undefined;
    return tail;
  }
}
