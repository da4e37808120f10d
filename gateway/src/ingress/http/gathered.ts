// Bytes that come in pieces of any size, as one piece. A client or a function may send byte by byte, and each byte kept as it came would be an
// object of 200 bytes.
const LEAST = 256;
const MOST_AHEAD = 64 * 1024;

export class Gathered {
  private readonly most: number;
  private buffer: Buffer | undefined = undefined;
  length = 0;

  /** `most`: bytes that will come at most, if that is known. */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.most = most;
  }

  /** What is kept for them, bytes: less than twice their number, or the least. */
  get capacity(): number {
    return this.buffer?.length ?? 0;
  }
  add(chunk: Buffer): void {
    const length = this.length + chunk.length;
    if (this.buffer === undefined || length > this.buffer.length) this.grow(length);
    chunk.copy(this.buffer!, this.length);
    this.length = length;
  }
  private grow(length: number): void {
    const ahead = Math.max(LEAST, Math.min(2 * this.capacity, length + MOST_AHEAD));
    const larger = Buffer.allocUnsafeSlow(Math.max(length, Math.min(ahead, this.most)));
    this.buffer?.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }
  /** All of it, once; empty when there is nothing. */
  take(): Buffer {
    const all = this.buffer?.subarray(0, this.length) ?? Buffer.alloc(0);
    this.buffer = undefined;
    this.length = 0;
    return all;
  }
}
