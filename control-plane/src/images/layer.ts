// A layer that comes out of a build is hostile. It is read once: checked (SECURITY G6), written again in canonical form, and
// unpacked beside it for the driver, so that what runs is what was checked.
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import { PlatformError } from "../contract/errors.ts";
import { LIMITS } from "../contract/limits.ts";

/** All of a layer is below this folder. */
export const LAYER_ROOT = "function";
const EPOCH = new Date(0);

const refuse = (what: string) => new PlatformError("INVALID_ARCHIVE", `The built layer is not acceptable: ${what}.`);

/** Checks names and kinds of entries in their order; carries the running totals of one layer. */
export function createLayerLint() {
  let last = "";
  let files = 0;
  let bytes = 0;
  return {
    /** Throws for anything but a regular file or folder at a clean path, in strictly rising order (so none comes twice). */
    check(header: tar.Header): { name: string; folder: boolean; mode: number; size: number } {
      const folder = header.type === "directory";
      const name = header.name.replace(/\/$/, "");
      if (!folder && header.type !== "file") throw refuse(`an entry of type ${header.type ?? "unknown"}`);
      const problem = pathProblem(name);
      if (problem !== undefined) throw refuse(`${problem}: ${JSON.stringify(name.slice(0, 200))}`);
      if (Buffer.compare(Buffer.from(last), Buffer.from(name)) >= 0) throw refuse("entries are out of order");
      last = name;
      const size = folder ? 0 : (header.size ?? 0);
      bytes += size;
      files += 1;
      if (files > LIMITS.layerFiles)
        throw new PlatformError("PAYLOAD_TOO_LARGE", `The built layer has more than ${LIMITS.layerFiles} files.`);
      if (bytes > LIMITS.layerBytes)
        throw new PlatformError("PAYLOAD_TOO_LARGE", `The built layer is larger than ${LIMITS.layerBytes / 1024 ** 2} MiB.`, {
          hint: "Ship fewer or smaller dependencies.",
        });
      const executable = ((header.mode ?? 0) & 0o111) !== 0;
      return { name, folder, size, mode: folder || executable ? 0o755 : 0o644 };
    },
  };
}

function pathProblem(name: string): string | undefined {
  const parts = name.split("/");
  if (parts[0] !== LAYER_ROOT) return "a path outside the function's folder";
  if (parts.some((part) => part === "" || part === "." || part === "..")) return "an unclean path";
  if (parts.some((part) => part.startsWith(".wh."))) return "a whiteout"; // image-spec, layer.md, "Whiteouts"
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  if (/[\u0000-\u001f\u007f\\]/.test(name)) return "a control character or backslash in a path";
  if (Buffer.byteLength(name) > LIMITS.sourcePathBytes || parts.length > LIMITS.sourcePathDepth + 8)
    return "a path that is too long or deep";
  return undefined;
}

/**
 * Reads the tar `source`, unpacks it below `target` (which must be empty) and returns the canonical tar as a stream: time 0, owner 0,
 * modes 0644 and 0755. The stream fails with INVALID_ARCHIVE or PAYLOAD_TOO_LARGE; the caller then throws `target` away.
 */
export function canonicalLayer(source: Readable, target: string): Readable {
  const pack = tar.pack();
  const run = async () => {
    const extract = tar.extract();
    const feeding = pipeline(source, extract).catch((error: unknown) => extract.destroy(error as Error));
    const lint = createLayerLint();
    for await (const entry of extract) {
      const { name, folder, mode, size } = lint.check(entry.header);
      const common = { name, mode, mtime: EPOCH, uid: 0, gid: 0 };
      if (folder) {
        entry.resume();
        await mkdir(path.join(target, name), { recursive: true });
        pack.entry({ ...common, type: "directory" });
      } else await copyFile(entry as unknown as Readable, path.join(target, name), mode, pack.entry({ ...common, type: "file", size }));
    }
    await feeding;
    pack.finalize();
  };
  run().catch((error: unknown) =>
    pack.destroy(
      error instanceof PlatformError
        ? error
        : new PlatformError("INVALID_ARCHIVE", "The built layer is not a readable archive.", { cause: error }),
    ),
  );
  return pack as unknown as Readable;
}

async function copyFile(entry: Readable, file: string, mode: number, packed: NodeJS.WritableStream): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const disk = new PassThrough();
  const written = pipeline(disk, createWriteStream(file, { mode, flags: "wx" }));
  for await (const chunk of entry) {
    const chunkBytes = chunk as Buffer;
    const waits: Promise<void>[] = [];
    for (const sink of [disk, packed]) if (!sink.write(chunkBytes)) waits.push(once(sink));
    await Promise.all(waits);
  }
  disk.end();
  packed.end();
  await written;
}

const once = (stream: NodeJS.EventEmitter): Promise<void> =>
  new Promise((resolve, reject) => {
    stream.once("drain", resolve);
    stream.once("close", resolve);
    stream.once("error", reject);
  });
