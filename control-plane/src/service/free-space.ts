// The low-disk state: while there is little space left nothing new is taken in, and what runs goes on.
import { statfs } from "node:fs/promises";
import { PlatformError } from "../contract/errors.ts";

export interface FreeSpaceOptions {
  /** Folders whose file systems new sources, images and layers go to. */
  folders: readonly string[];
  /** Less than this on any of them is little. */
  minBytes: number;
}
/** What was seen is believed for so long: a deploy asks several times. */
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
    /** Throws STORAGE_LOW. */
    async require(): Promise<void> {
      if (await isLow()) throw storageLow();
    },
  };
}
export type FreeSpace = ReturnType<typeof createFreeSpace>;

/** The disk was full in the middle of something (errno(3)). */
export const isOutOfSpace = (error: unknown): boolean =>
  error instanceof Error && (["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "") || isOutOfSpace(error.cause));
