// Removes unused entries of a folder that were not touched for a while.
import { readdir, rm, utimes } from "node:fs/promises";
import { statSync, rmSync, renameSync } from "node:fs";
import { randomUUID } from "node:crypto";
import path from "node:path";

/** Prefix of entries that are being removed; after an interrupted removal the next sweep removes them like any unused entry. */
const TRASH = "trash-";

/**
 * Removes entries for which `unused` is true and whose inode has not changed since `before` (milliseconds since the epoch): writing,
 * linking and renaming all change it, so entries that a running deploy just wrote or touched stay. Resolves with the number of removed
 * entries.
 */
export async function removeOlder(folder: string, before: number, unused: (name: string) => boolean): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder).catch(() => []))
    if ((name.startsWith(TRASH) || unused(name)) && (await removeOne(folder, name, before))) removed++;
  return removed;
}

/** Marks an existing file or folder as used again. */
export async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now);
}

async function removeOne(folder: string, name: string, before: number): Promise<boolean> {
  const file = path.join(folder, name);
  // Synchronous: no other code of this process can touch the entry between the check and the removal.
  const facts = statSync(file, { throwIfNoEntry: false });
  if (facts === undefined || facts.ctimeMs >= before) return false;
  if (!facts.isDirectory()) {
    rmSync(file, { force: true });
    return true;
  }
  const trash = path.join(folder, `${TRASH}${randomUUID()}`); // renamed first, so that no reader sees a half-removed folder
  renameSync(file, trash);
  await rm(trash, { recursive: true, force: true });
  return true;
}
