// A layer that comes out of a build is hostile. It is read once, and in that one pass checked (SECURITY G6), written again in canonical
// form, and unpacked for the driver, so that exactly the checked bytes run.
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
  source.on("error", () => undefined); // reading reports the error; without a listener until then it would end the process
  return layer.once("close", () => source.destroy());
}

/** Does nothing before the first byte is read, so that a failure always has a reader who learns of it. */
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
  feeding.catch(() => undefined); // its error is thrown by the `await` below, unless an entry was refused first
  const lint = createLayerLint();
  for await (const entry of extract) {
    const { name, folder, mode, size } = lint.check(entry.header);
    const header = { name, mode, mtime: EPOCH, uid: 0, gid: 0, type: folder ? ("directory" as const) : ("file" as const), size };
    const packed = pack.entry(header) as unknown as Writable;
    packed.on("error", () => undefined); // an entry fails only together with its pack, whose reader gets the error
    if (folder) {
      entry.resume();
      await mkdir(path.join(target, name), { recursive: name === LAYER_ROOT });
    } else await copyFile(entry as unknown as AsyncIterable<Buffer>, path.join(target, name), mode, packed);
  }
  await feeding; // a source that broke off anywhere is not a valid archive
  pack.finalize();
}

/** Copies the same bytes to the file and to the canonical tar, whose reader sets the pace. */
async function copyFile(entry: AsyncIterable<Buffer>, file: string, mode: number, packed: Writable): Promise<void> {
  const handle = await open(file, "wx", mode);
  try {
    for await (const chunk of entry) {
      if (!packed.write(chunk)) await drained(packed);
      await handle.writeFile(chunk); // writes the whole chunk at the current position
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

/** Disk errors are the platform's fault and stay as they are; any other error means that the source is not a valid archive. */
function blame(error: unknown): Error {
  if (error instanceof PlatformError) return error;
  if (error instanceof Error && "syscall" in error) return error;
  return new PlatformError("INVALID_ARCHIVE", "The built layer is not a readable archive.", { cause: error });
}
