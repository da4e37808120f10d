// What the parts print, within a size while they run: a file that is full is copied beside itself and emptied. The parts write with
// O_APPEND (open(2)), so the next line stands at the beginning; what was written between copy and emptying is lost.
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { copyFile, rename, stat } from "node:fs/promises";

export interface ServiceLogLimits {
  bytes: number;
  lookMs: number;
  tooMany: number;
}
const SERVICE_LOG: ServiceLogLimits = {
  bytes: 16 * 1024 * 1024,
  /** Looked at this often. */
  lookMs: 1_000,
  /** Grown beyond so many times its size between two looks, it is not even copied. */
  tooMany: 8,
};

/** `files`: those that there are now. Returns the way to end it, which resolves when nothing is being copied any more. */
export function keepWithinSize(files: () => string[], onError: (error: unknown) => void, limits = SERVICE_LOG): () => Promise<void> {
  async function look(file: string): Promise<void> {
    const size = await stat(file).then(
      (facts) => facts.size,
      () => 0,
    );
    if (size <= limits.bytes) return;
    if (size <= limits.bytes * limits.tooMany) {
      await copyFile(file, `${file}.new`);
      await rename(`${file}.new`, `${file}.1`);
    }
    const fd = openSync(file, "r+");
    try {
      ftruncateSync(fd, 0);
    } finally {
      closeSync(fd);
    }
  }
  let looking: Promise<unknown> | undefined;
  const timer = setInterval(() => {
    looking ??= Promise.all(files().map((file) => look(file).catch(onError))).finally(() => (looking = undefined));
  }, limits.lookMs);
  return async () => {
    clearInterval(timer);
    await looking;
  };
}
