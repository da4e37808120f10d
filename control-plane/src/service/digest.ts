// Content digests, `sha256:` and 64 hex digits (OCI image-spec, descriptor.md), of a buffer and of a stream.
import { createHash } from "node:crypto";
import { Transform } from "node:stream";

export const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Counts and hashes bytes as they come. */
export class DigestMeter {
  bytes = 0;
  private readonly hash = createHash("sha256");

  update(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.hash.update(chunk);
  }
  /** The digest of all bytes so far; may be called only once. */
  digest(): string {
    return `sha256:${this.hash.digest("hex")}`;
  }
  /** A stream that passes bytes on and measures them. It fails with `limit.error()` at the first byte beyond `limit.bytes`. */
  through(limit?: { bytes: number; error: () => Error }): Transform {
    return new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        this.update(chunk);
        done(limit !== undefined && this.bytes > limit.bytes ? limit.error() : null, chunk);
      },
    });
  }
}
