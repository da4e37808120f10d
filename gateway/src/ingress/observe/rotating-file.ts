// A file with a maximum size, for appending: when it is full it is renamed to `<file>.1`, the earlier `<file>.1` to `<file>.2`, and so on.
import { closeSync, existsSync, fstatSync, openSync } from "node:fs";
import { rename, rm } from "node:fs/promises";

export interface FileLimits {
  /** The most bytes of one file; a block that does not fit begins the next file. */
  bytes: number;
  /** How many older files are kept. */
  files: number;
}
export interface RotatingFile {
  /**
   * Resolves with the file descriptor for a block of so many bytes, which the caller must write before the next call. Rejects when the file
   * is full and cannot be renamed.
   */
  roomFor(bytes: number): Promise<number>;
}

export function createRotatingFile(file: string, { bytes: most, files }: FileLimits): RotatingFile {
  const open = () => openSync(file, "a", 0o640);
  /** Undefined while the next file could not be opened. */
  let fd: number | undefined = open();
  let size = fstatSync(fd).size;

  async function shift(): Promise<void> {
    await rm(`${file}.${files}`, { force: true });
    for (let age = files - 1; age >= 1; age--) await rename(`${file}.${age}`, `${file}.${age + 1}`).catch(ignoreMissing);
    await rename(file, `${file}.1`).catch(ignoreMissing);
  }
  async function rotate(): Promise<number> {
    if (existsSync(file)) await shift(); // a missing file was removed from outside
    if (fd !== undefined) closeSync(fd);
    fd = undefined; // if `open` fails: the closed number may be another file's by the next try
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
