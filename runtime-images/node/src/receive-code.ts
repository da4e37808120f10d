// `PUT code` in a pod (contract, CODE_DIGEST_HEADER): a layer's tar, checked while it is unpacked into a draft, which becomes the code
// folder only when its digest is the one that was promised. Nothing else runs yet, so files are written synchronously.
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";

const ROOT = "function";
const CODE = "function/code";

/** Why the code is not taken: an HTTP status and what is wrong. */
export class CodeRefused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Resolves when the code is in place. `maxBytes`: of the whole tar. Leaves nothing of a refused one. */
export async function receiveCode(incoming: IncomingMessage, digest: string, codeFolder: string, maxBytes: number): Promise<void> {
  const draft = join(dirname(codeFolder), ".draft");
  const hash = createHash("sha256");
  let bytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      hash.update(chunk);
      done(bytes > maxBytes ? new CodeRefused(413, `The code is larger than ${maxBytes} bytes.`) : null, chunk);
    },
  });
  try {
    mkdirSync(draft);
    const extract = tar.extract();
    const feeding = pipeline(incoming, meter, extract);
    await Promise.all([feeding, unpack(extract, draft)]);
    if (`sha256:${hash.digest("hex")}` !== digest) throw new CodeRefused(422, "The code has another digest than was promised.");
    renameSync(draft, codeFolder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error instanceof CodeRefused ? error : new CodeRefused(422, `The code is no whole tar: ${String(error)}`);
  }
}

async function unpack(extract: tar.Extract, draft: string): Promise<void> {
  for await (const entry of extract) {
    const { header } = entry;
    const place = placeOf(header, draft);
    if (header.type === "directory") {
      if (place !== draft) mkdirSync(place, { mode: 0o755 });
      entry.resume();
      continue;
    }
    const file = openSync(place, "wx", ((header.mode ?? 0) & 0o111) === 0 ? 0o644 : 0o755);
    try {
      for await (const chunk of entry as AsyncIterable<Buffer>) writeSync(file, chunk);
    } finally {
      closeSync(file);
    }
  }
}

/** The platform's own images hold nothing else, so anything else is a mistake or an attack. */
function placeOf({ name, type }: tar.Header, draft: string): string {
  const clean = name.replace(/\/$/, "");
  if (type !== "file" && type !== "directory") throw new CodeRefused(422, `The code holds an entry of type ${type}.`);
  if (type === "directory" && (clean === ROOT || clean === CODE)) return draft;
  const parts = clean.split("/");
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  const unclean = parts.some((part: string) => part === "" || part === "." || part === "..") || /[\u0000-\u001f\u007f\\]/.test(clean);
  if (unclean || !clean.startsWith(`${CODE}/`)) throw new CodeRefused(422, "The code holds a path outside its folder.");
  return join(draft, ...parts.slice(2));
}
