// The low-disk state: while little disk space is left, no new sources, images or layers are accepted, but deployed functions go on.
import { statfs } from "node:fs/promises";
import { PlatformError } from "../contract/errors.ts";

export interface FreeSpaceOptions {
  /** Folders for new sources, images and layers; their file systems are watched. */
  folders: readonly string[];
  /** Less free space than this on any of them is the low-disk state. */
  minBytes: number;
}
/** How long a result is reused, because a deploy asks several times. */
const LOOK_MS = 1_000;

export const storageLow = (cause?: unknown): PlatformError =>
  new PlatformError("STORAGE_LOW", "The platform has little disk space left and takes no deploys.", {
    hint: "Functions that are deployed go on. Tell the platform's operator; try again later.",
    cause,
  });

export function createFreeSpace({ folders, minBytes }: FreeSpaceOptions) {
  let seen: { at: number; low: boolean } | undefined;

  async function look(): Promise<boolean> {
    const free = await Promise.all(folders.map(async (folder) => statfs(folder)));
    return free.some(({ bavail, bsize }) => bavail * bsize < minBytes);
  }
  async function isLow(): Promise<boolean> {
    if (seen === undefined || performance.now() - seen.at > LOOK_MS) seen = { at: performance.now(), low: await look() };
    return seen.low;
  }
  return {
    isLow,
    /** Throws STORAGE_LOW in the low-disk state. */
    async require(): Promise<void> {
      if (await isLow()) throw storageLow();
    },
  };
}
export type FreeSpace = ReturnType<typeof createFreeSpace>;

/** Whether an error, or one of its causes, says that the disk or quota is full (errno(3)). */
export const isOutOfSpace = (error: unknown): boolean =>
  error instanceof Error && (["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "") || isOutOfSpace(error.cause));
