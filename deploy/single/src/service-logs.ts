// Limits the size of the parts' log files while they run: a full file is copied to a second file and emptied. The parts write with O_APPEND
// (open(2)), so the next line goes to the beginning; lines written between the copy and the emptying are lost.
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { copyFile, rename, stat } from "node:fs/promises";

export interface ServiceLogLimits {
  bytes: number;
  lookMs: number;
  tooMany: number;
}
const SERVICE_LOG: ServiceLogLimits = {
  bytes: 16 * 1024 * 1024,
  /** Time between two looks at the files. */
  lookMs: 1_000,
  /** A file that has grown beyond this many times `bytes` between two looks is emptied without a copy. */
  tooMany: 8,
};

/**
 * `files` returns the present log files. Returns the function that stops the checks, which resolves when no file is being copied any more.
 */
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
