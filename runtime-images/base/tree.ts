// The last steps on a finished tree: make it the same bytes each time, and safe to be a sandbox's root.
import { chmod, lchown, lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./run.ts";

/** Removes everything but files, folders and symlinks, and every setuid or setgid bit; all belongs to root. Returns bytes. */
export async function normaliseTree(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    await lchown(path, 0, 0);
    if (entry.isDirectory()) bytes += await normaliseTree(path);
    else if (!entry.isFile() && !entry.isSymbolicLink()) await rm(path);
    if (entry.isDirectory() || entry.isFile()) {
      const stat = await lstat(path);
      if (entry.isFile()) bytes += stat.size;
      if ((stat.mode & 0o6000) !== 0) await chmod(path, stat.mode & 0o1777);
    }
  }
  return bytes;
}

/** A deterministic POSIX tar: sorted, no times, no names of owners, hard links as copies. */
export async function tarTree(folder: string, file: string): Promise<void> {
  const times = ["--mtime=@0", "--format=posix", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"];
  await run(
    "tar",
    ["--sort=name", "--numeric-owner", "--owner=0", "--group=0", "--hard-dereference", ...times, "-C", folder, "-cf", file, "."],
    { env: { ...process.env, LC_ALL: "C" } },
  );
}
