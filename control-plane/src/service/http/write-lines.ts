// Writes many lines to a reader that may be slower than we are.
import type { Writable } from "node:stream";

/** A reader that takes nothing for this long is cut off. */
const STALLED_MS = 30_000;

/**
 * Resolves when all lines are in the stream's buffer, which never holds much more than its high-water mark, or when the stream is
 * destroyed.
 */
export async function writeLines(to: Writable, values: Iterable<unknown>): Promise<void> {
  for (const value of values) {
    if (to.destroyed) return;
    if (!to.write(`${JSON.stringify(value)}\n`)) await drained(to);
  }
}

/** Values in batches, each batch one write. Resolves as `writeLines` does; the batches' source is told of the end. */
export async function writeBatches(to: Writable, batches: AsyncIterable<readonly unknown[]>, stalledMs = STALLED_MS): Promise<void> {
  for await (const batch of batches) {
    if (to.destroyed) return;
    if (!to.write(batch.map((value) => `${JSON.stringify(value)}\n`).join(""))) await drained(to, stalledMs);
  }
}

function drained(to: Writable, stalledMs = STALLED_MS): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => void to.destroy(), stalledMs);
    const done = () => {
      clearTimeout(timer);
      to.off("drain", done).off("close", done);
      resolve();
    };
    to.on("drain", done).on("close", done);
    if (to.destroyed) done();
  });
}
