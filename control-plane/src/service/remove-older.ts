// Removes what lies in a folder unused and untouched.
import { readdir, rm, utimes } from "node:fs/promises";
import { statSync, rmSync, renameSync } from "node:fs";
import { randomUUID } from "node:crypto";
import path from "node:path";

/** Names that a removal under way has; one that was interrupted is removed by the next sweep like anything unused. */
const TRASH = "trash-";

/**
 * Removes entries that `unused` names and whose inode has not changed since `before` (milliseconds since the epoch): writing, linking and
 * renaming all change it, so what a deploy in flight just put or touched stays. Returns how many went.
 */
export async function removeOlder(folder: string, before: number, unused: (name: string) => boolean): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder).catch(() => []))
    if ((name.startsWith(TRASH) || unused(name)) && (await removeOne(folder, name, before))) removed++;
  return removed;
}

/** Says that something that was there already is used again. */
export async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now);
}

async function removeOne(folder: string, name: string, before: number): Promise<boolean> {
  const file = path.join(folder, name);
  // In one go: nothing else of this process may touch it between the look and the removal.
  const facts = statSync(file, { throwIfNoEntry: false });
  if (facts === undefined || facts.ctimeMs >= before) return false;
  if (!facts.isDirectory()) {
    rmSync(file, { force: true });
    return true;
  }
  const trash = path.join(folder, `${TRASH}${randomUUID()}`); // gone as a whole: nobody sees half of it
  renameSync(file, trash);
  await rm(trash, { recursive: true, force: true });
  return true;
}
