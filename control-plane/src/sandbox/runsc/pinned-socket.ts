// The socket folder of a sandbox is hostile (SECURITY I1), so the platform dials a hard link that the sandbox cannot reach.
import { chmod, link, lstat, rm } from "node:fs/promises";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { PlatformError } from "../../contract/errors.ts";
import type { InstancePaths } from "./layout.ts";

const POLL_MS = 4;

/** Resolves when `done` resolves with true; throws when the sandbox has ended or the time is over. */
async function poll(done: () => Promise<boolean>, alive: () => boolean, timeoutMs: number): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await done())) {
    if (!alive()) throw new PlatformError("SANDBOX_FAILED", "The sandbox ended before it was ready.");
    if (Date.now() > end) throw new PlatformError("SANDBOX_FAILED", `The sandbox was not ready after ${timeoutMs} ms.`);
    await sleep(POLL_MS);
  }
}

/** Resolves when the bootstrap has bound its socket. */
export function waitForSocket(paths: InstancePaths, alive: () => boolean, timeoutMs: number): Promise<void> {
  const isThere = () =>
    lstat(paths.boundSocket).then(
      () => true,
      () => false,
    );
  return poll(isThere, alive, timeoutMs);
}

/** Resolves when the pinned socket accepts connections: between bind(2) and listen(2) it would refuse them. */
export function waitForListener(paths: InstancePaths, alive: () => boolean, timeoutMs: number): Promise<void> {
  const accepts = () =>
    new Promise<boolean>((resolve) => {
      const socket = net.connect(paths.pinnedSocket);
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
  return poll(accepts, alive, timeoutMs);
}

/**
 * Links first and checks afterwards: link(2) does not follow a symlink, and once linked the entry is out of the sandbox's reach, so
 * nothing can change between the check and the use.
 */
export async function pinSocket(paths: InstancePaths): Promise<void> {
  await link(paths.boundSocket, paths.pinnedSocket);
  const entry = await lstat(paths.pinnedSocket);
  if (!entry.isSocket()) {
    await rm(paths.pinnedSocket);
    throw new PlatformError("SANDBOX_FAILED", "The sandbox put something else in the place of its socket.");
  }
  await chmod(paths.pinnedSocket, 0o666); // the folder's mode decides which users may reach it
}
