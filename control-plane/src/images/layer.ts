// A layer that comes out of a build is hostile. It is read once: checked (SECURITY G6), written again in canonical form, and
// unpacked beside it for the driver, so that what runs is what was checked.
import { mkdir, open } from "node:fs/promises";
import path from "node:path";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import { PlatformError } from "../contract/errors.ts";
import { LAYER_ROOT, createLayerLint } from "./layer-lint.ts";

const EPOCH = new Date(0);

/**
 * Reads the tar `source`, unpacks it below `target` (which must be empty) and returns the canonical tar as a stream: time 0, owner 0,
 * modes 0644 and 0755. The stream fails with INVALID_ARCHIVE or PAYLOAD_TOO_LARGE, or with the disk's own error; the caller then throws
 * `target` away. A reader that goes away ends the reading of `source`.
 */
export function canonicalLayer(source: Readable, target: string): Readable {
  const layer = Readable.from(canonical(source, target), { objectMode: false });
  source.on("error", () => undefined); // seen when it is read; until then nobody listens, and an error would end the process
  return layer.once("close", () => source.destroy());
}

/** Nothing begins before the first byte is asked for: then there is somebody to tell of a failure. */
async function* canonical(source: Readable, target: string): AsyncGenerator<Buffer> {
  const pack = tar.pack();
  const extract = tar.extract();
  rewrite(source, extract, pack, target).catch((error: unknown) => pack.destroy(blame(error)));
  try {
    yield* pack as unknown as AsyncIterable<Buffer>;
  } finally {
    extract.destroy();
    pack.destroy();
  }
}

async function rewrite(source: Readable, extract: tar.Extract, pack: tar.Pack, target: string): Promise<void> {
  await mkdir(path.join(target, LAYER_ROOT), { recursive: true });
  const feeding = pipeline(source, extract);
  feeding.catch(() => undefined); // awaited below, unless an entry was refused first
  const lint = createLayerLint();
  for await (const entry of extract) {
    const { name, folder, mode, size } = lint.check(entry.header);
    const header = { name, mode, mtime: EPOCH, uid: 0, gid: 0, type: folder ? ("directory" as const) : ("file" as const), size };
    const packed = pack.entry(header) as unknown as Writable;
    packed.on("error", () => undefined); // an entry fails only with its pack, whose reader is told
    if (folder) {
      entry.resume();
      await mkdir(path.join(target, name), { recursive: name === LAYER_ROOT });
    } else await copyFile(entry as unknown as AsyncIterable<Buffer>, path.join(target, name), mode, packed);
  }
  await feeding; // a source that broke off is no archive, wherever it did
  pack.finalize();
}

/** Byte by byte to both; the reader of the canonical tar sets the pace. */
async function copyFile(entry: AsyncIterable<Buffer>, file: string, mode: number, packed: Writable): Promise<void> {
  const handle = await open(file, "wx", mode);
  try {
    for await (const chunk of entry) {
      if (!packed.write(chunk)) await drained(packed);
      await handle.writeFile(chunk); // from the current position, all of it
    }
  } finally {
    await handle.close();
  }
  packed.end();
}

function drained(stream: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error("The reader of the layer went away."));
    if (stream.destroyed) return gone();
    stream.once("close", gone);
    stream.once("drain", () => {
      stream.off("close", gone);
      resolve();
    });
  });
}

/** The disk's failures are the platform's; all others mean that this is no archive. */
function blame(error: unknown): Error {
  if (error instanceof PlatformError) return error;
  if (error instanceof Error && "syscall" in error) return error;
  return new PlatformError("INVALID_ARCHIVE", "The built layer is not a readable archive.", { cause: error });
}
