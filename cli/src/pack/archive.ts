// A deterministic tar.gz: the same files give the same bytes, on every machine with the same zlib. The platform's image digests do not
// depend on the compression; only the question whether an upload is needed does.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createGzip } from "node:zlib";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { pack as createPack, type Pack } from "tar-stream";
import { bytes as showBytes } from "../terminal/amounts.ts";
import { collectFiles, type SourceFile } from "./collect-files.ts";
import { refuse } from "./path-rules.ts";

export interface Archive {
  bytes: Buffer<ArrayBuffer>;
  digest: string;
  files: SourceFile[];
  unpackedBytes: number;
}
const GZIP = { level: 6, memLevel: 8 } as const;
/** RFC 1952, 2.3.1: byte 9 of the header names the operating system; 255 is "unknown". */
const GZIP_OS_BYTE = 9;
const RATIO_SLACK = 1024 * 1024;

export async function packFolder(root: string): Promise<Archive> {
  const files = await collectFiles(root);
  const tar = createPack();
  const gzip = tar.pipe(createGzip(GZIP));
  const writing = addAll(tar, files);
  // When reading a file fails, the error destroys the stream, so that the read loop below ends; `await writing` comes too late for that.
  writing.catch((error: Error) => gzip.destroy(error));
  const bytes = await readLimited(gzip, root);
  const unpackedBytes = await writing;
  bytes[GZIP_OS_BYTE] = 255;
  if (unpackedBytes > RATIO_SLACK + bytes.length * LIMITS.sourceRatio)
    throw refuse(`The source unpacks to more than ${LIMITS.sourceRatio} times its packed size.`, "Leave out large empty files.");
  return { bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, files, unpackedBytes };
}

async function addAll(tar: Pack, files: readonly SourceFile[]): Promise<number> {
  let total = 0;
  for (const file of files) {
    const content = await readFile(file.absolute);
    total += content.length;
    if (total > LIMITS.sourceUnpackedBytes)
      throw refuse(
        `The source is larger than ${showBytes(LIMITS.sourceUnpackedBytes)}.`,
        "Leave out data and generated files with .fnctlignore.",
      );
    await new Promise<void>((resolve, reject) => {
      const header = {
        name: file.name,
        mode: file.executable ? 0o755 : 0o644,
        mtime: new Date(0),
        uid: 0,
        gid: 0,
        uname: "",
        gname: "",
        type: "file" as const,
      };
      tar.entry(header, content, (error) => (error ? reject(error) : resolve()));
    });
  }
  tar.finalize();
  return total;
}

async function readLimited(stream: AsyncIterable<Buffer>, root: string): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > LIMITS.sourceArchiveBytes)
      throw refuse(
        `The packed source in ${root} is larger than ${showBytes(LIMITS.sourceArchiveBytes)}.`,
        "Leave out data and generated files with .fnctlignore.",
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
