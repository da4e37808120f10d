// The archive from which a Linux kernel fills its first file system (initramfs): the "newc" format of cpio(5), uncompressed.
import { createWriteStream } from "node:fs";
import { lstat, readFile, readdir, readlink } from "node:fs/promises";
import { once } from "node:events";
import path from "node:path";

export interface AddedFile {
  /** Without a leading slash. */
  name: string;
  text: string;
  mode: number;
}
const [FILE, CHARACTER_DEVICE] = [0o100_000, 0o020_000];
/** Of `/dev/console`, which the kernel gives its first program (devices.txt of the Linux kernel). */
const CONSOLE = [5, 1] as const;

/** Writes a folder with all below it, and some files more. Everything belongs to root. */
export async function writeCpio(folder: string, added: readonly AddedFile[], target: string): Promise<void> {
  const out = createWriteStream(target);
  let inode = 1;
  const put = async (name: string, mode: number, content: Uint8Array, device: readonly [number, number] = [0, 0]) => {
    const named = Buffer.from(`${name}\0`);
    const fields = [inode++, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, named.length, 0];
    const head = Buffer.concat([Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`), named]);
    for (const part of [head, content]) {
      const whole = Buffer.concat([part, Buffer.alloc((4 - (part.length % 4)) % 4)]);
      if (!out.write(whole)) await once(out, "drain");
    }
  };
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(path.join(folder, below), { withFileTypes: true })) {
      const name = path.join(below, entry.name);
      const from = path.join(folder, name);
      const { mode } = await lstat(from);
      if (entry.isSymbolicLink()) await put(name, mode, Buffer.from(await readlink(from)));
      else await put(name, mode, entry.isFile() ? await readFile(from) : new Uint8Array());
      if (entry.isDirectory()) await walk(name);
    }
  };
  await walk("");
  for (const { name, text, mode } of added) await put(name, FILE | mode, Buffer.from(text));
  await put("dev/console", CHARACTER_DEVICE | 0o600, new Uint8Array(), CONSOLE);
  await put("TRAILER!!!", 0, new Uint8Array());
  out.end();
  await once(out, "close");
}
