// A file that is appended to and never outgrows its size: when it is full it becomes `<file>.1`, the one before that `<file>.2`, and so on.
import { closeSync, existsSync, fstatSync, openSync } from "node:fs";
import { rename, rm } from "node:fs/promises";

export interface FileLimits {
  /** Of one file; a block that does not fit begins the next. */
  bytes: number;
  /** Older files that are kept. */
  files: number;
}
export interface RotatingFile {
  /** Where to write a block of so many bytes, which the caller does before it asks again. Rejects when the file is full and cannot be renamed. */
  roomFor(bytes: number): Promise<number>;
}

export function createRotatingFile(file: string, { bytes: most, files }: FileLimits): RotatingFile {
  const open = () => openSync(file, "a", 0o640);
  /** Undefined: the next one could not be opened yet. */
  let fd: number | undefined = open();
  let size = fstatSync(fd).size;

  async function shift(): Promise<void> {
    await rm(`${file}.${files}`, { force: true });
    for (let age = files - 1; age >= 1; age--) await rename(`${file}.${age}`, `${file}.${age + 1}`).catch(ignoreMissing);
    await rename(file, `${file}.1`).catch(ignoreMissing);
  }
  async function rotate(): Promise<number> {
    if (existsSync(file)) await shift(); // else somebody removed it
    if (fd !== undefined) closeSync(fd);
    fd = undefined; // its number may be somebody else's by the time that this is tried again
    fd = open();
    size = fstatSync(fd).size;
    return fd;
  }
  return {
    async roomFor(bytes) {
      const room = fd === undefined || (size > 0 && size + bytes > most) ? await rotate() : fd;
      size += bytes;
      return room;
    },
  };
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
