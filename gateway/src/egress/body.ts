// The body of a plain message, sent on in few writes: hostile code sends it in pieces of one byte, of which a read holds ten thousand. Each piece that
// is kept as it came costs more than a hundred bytes, and each that is written alone three writes; so they are put together as they come, from the
// first one on, whether or not anybody takes them yet.
import type { IncomingMessage } from "node:http";
import type { Writable } from "node:stream";
import { EGRESS_LIMITS } from "./limits.ts";

interface Events {
  /** A part of it was written. */
  sent?: () => void;
  /** All of it was; called before the target is ended. */
  end: () => void;
}

export class Body {
  private readonly from: IncomingMessage;
  private to: Writable | undefined = undefined;
  private events: Events | undefined = undefined;
  /** What came and was not written, of which `heldBytes` count. */
  private held: Buffer = Buffer.alloc(0);
  private heldBytes = 0;
  private due: NodeJS.Immediate | undefined = undefined;
  private isWhole = false;
  /** Pieces of this turn. */
  private pieces = 0;
  private waiting: NodeJS.Timeout | undefined = undefined;
  private isStopped = false;
  private isEnded = false;

  private readonly waitFor: (pieces: number) => number;

  /** `waitFor`: counts pieces of the tenant's, and says for how long no more of them are taken, milliseconds. */
  constructor(from: IncomingMessage, waitFor: (pieces: number) => number) {
    [this.from, this.waitFor] = [from, waitFor];
    from._read = () => undefined; // Node's takes the socket up again with each piece, and would read on whatever is said here
    from.on("error", () => undefined); // who owns the message listens to its end
    from.on("data", (piece: Buffer) => this.take(piece));
    from.socket.resume(); // whoever had it wait until now
    from.once("close", () => clearTimeout(this.waiting));
    from.once("end", () => {
      this.isWhole = true;
      this.soon();
    });
  }
  sendTo(to: Writable, events: Events): void {
    [this.to, this.events] = [to, events];
    to.on("drain", () => this.resume());
    this.soon();
    this.resume();
  }
  /** Nobody wants the rest, which is read over. */
  stop(): void {
    this.isStopped = true;
    this.held = Buffer.alloc(0);
    this.heldBytes = 0;
    this.resume();
  }

  private take(piece: Buffer): void {
    this.pieces += 1;
    // Otherwise libuv reads 32 times before it looks at any other connection.
    if (this.pieces === EGRESS_LIMITS.pieces.ofTurn) this.from.socket.pause();
    if (this.isStopped) return this.soon();
    const size = this.heldBytes + piece.length;
    if (this.heldBytes === 0) this.held = piece;
    else {
      if (size > this.held.length) this.held = Buffer.concat([this.held.subarray(0, this.heldBytes)], Math.max(2 * size, 1_024));
      piece.copy(this.held, this.heldBytes);
    }
    this.heldBytes = size;
    this.soon();
  }
  /** What one turn of the event loop brings is written at once; only then the source is asked to wait, so that nothing is kept in pieces. */
  private soon(): void {
    this.due ??= setImmediate(() => this.write());
  }
  private write(): void {
    this.due = undefined;
    this.rest();
    const { to, from } = this;
    if (this.isFull) return this.pause();
    if (to === undefined) return;
    const [bytes, count] = [this.held, this.heldBytes];
    this.held = Buffer.alloc(0);
    this.heldBytes = 0;
    if (count > 0 && !to.destroyed) to.write(bytes.subarray(0, count));
    if (count > 0) this.events?.sent?.();
    if (this.isWhole && !this.isStopped) {
      if (this.isEnded) return;
      this.isEnded = true;
      this.events?.end();
      to.end();
    } else if (to.writableNeedDrain) this.pause();
    else if (from.isPaused()) this.resume();
  }
  /** Small pieces are taken at their tenant's pace. */
  private rest(): void {
    const { pieces, from } = this;
    this.pieces = 0;
    if (pieces < EGRESS_LIMITS.pieces.ofTurn) return;
    from.pause();
    this.waiting = setTimeout(() => {
      this.waiting = undefined;
      this.resume();
    }, this.waitFor(pieces));
  }
  private get isFull(): boolean {
    return this.to === undefined ? this.heldBytes >= EGRESS_LIMITS.bodyHeldBytes : this.to.writableNeedDrain;
  }
  private pause(): void {
    if (this.isWhole || this.isStopped) return;
    this.from.pause();
    this.from.socket.pause();
  }
  private resume(): void {
    if (this.heldBytes > 0 || this.isWhole) this.soon();
    if (this.waiting !== undefined || (this.isFull && !this.isStopped)) return;
    this.from.resume();
    this.from.socket.resume();
  }
}
