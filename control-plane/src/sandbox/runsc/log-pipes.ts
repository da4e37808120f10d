// stdout and stderr of a sandbox are two named pipes: they outlive the log collector, which opens them again after a restart, and the
// driver never reads a byte of them (SECURITY I3).
import { constants, closeSync, existsSync, openSync } from "node:fs";
import { chmod, chown, mkdir, rename, rm, writeFile } from "node:fs/promises";
import type { LogChannel } from "../../contract/logs.ts";
import { exec } from "./exec.ts";
import type { InstancePaths } from "./layout.ts";

export interface LogPipes {
  /** Write ends for the sandbox; closed by the caller once it runs. */
  stdout: number;
  stderr: number;
}

/**
 * Makes the folder, both pipes, and the Sentry's own file. The folder's mode decides which users may read, because runsc gives the pipes to
 * root and its group when it takes them as the sandbox's stdout and stderr.
 */
export async function makeLogPipes(paths: InstancePaths, logGid: number): Promise<void> {
  await mkdir(paths.logFolder, { mode: 0o750 });
  await exec("mkfifo", ["-m", "0644", paths.stdout, paths.stderr]);
  await writeFile(paths.userLog, "");
  await chown(paths.userLog, 0, logGid);
  await chmod(paths.userLog, 0o660); // the collector may truncate it
  await chown(paths.logFolder, 0, logGid);
}

/** A removal takes them before the record: without them it was cut off. */
export const hasLogPipes = (paths: InstancePaths): boolean => existsSync(paths.stdout) && existsSync(paths.stderr);

/** Opens the pipes read-write, so that a pipe without a reader neither blocks an open nor breaks a writer (fifo(7)). */
export function holdOpen(paths: InstancePaths): number[] {
  const flags = constants.O_RDWR | constants.O_NONBLOCK;
  return [openSync(paths.stdout, flags), openSync(paths.stderr, flags)];
}

export function openWriteEnds(paths: InstancePaths): LogPipes {
  return { stdout: openSync(paths.stdout, constants.O_WRONLY), stderr: openSync(paths.stderr, constants.O_WRONLY) };
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}

/** Tells the collector to which function version the lines from now on belong; lines before that it does not keep. */
export async function nameChannel(paths: InstancePaths, channel: LogChannel, logGid: number): Promise<void> {
  await writeFile(`${paths.logMeta}.new`, JSON.stringify(channel), { mode: 0o640 });
  await chown(`${paths.logMeta}.new`, 0, logGid);
  await rename(`${paths.logMeta}.new`, paths.logMeta);
}

export const removeLogPipes = (paths: InstancePaths): Promise<void> => rm(paths.logFolder, { recursive: true, force: true });
