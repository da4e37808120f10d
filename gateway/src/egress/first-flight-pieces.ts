// A client's first bytes as they come. Each look at them is at all of them, so pieces that come one by one are looked at together after a few: a
// client of one-byte pieces would cost a look for each.
import { EGRESS_LIMITS } from "./limits.ts";

export class FirstFlightPieces {
  private pieces: Buffer[] = [];
  private looks = 0;
  private timer: NodeJS.Timeout | undefined = undefined;
  private readonly look: (bytes: Buffer) => void;

  /** `look` gets all bytes so far; it calls `stop` when it has seen enough. */
  constructor(look: (bytes: Buffer) => void) {
    this.look = look;
  }
  /** Bytes so far. */
  length = 0;

  add(piece: Buffer): void {
    this.pieces.push(piece);
    this.length += piece.length;
    // What is too long is refused by the look at it, and not kept until later.
    if (this.looks < EGRESS_LIMITS.firstFlightLooks || this.length > EGRESS_LIMITS.firstFlightBytes) this.lookNow();
    else this.timer ??= setTimeout(() => this.lookNow(), EGRESS_LIMITS.firstFlightPauseMs);
  }
  /** No piece will come any more. */
  end(): void {
    if (this.timer !== undefined) this.lookNow();
  }
  private lookNow(): void {
    this.stop();
    this.looks += 1;
    const bytes = this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces);
    this.pieces = [bytes];
    this.look(bytes);
  }
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
