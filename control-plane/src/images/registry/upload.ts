// Pushes one blob from a file, in one request or in chunks. A broken upload is resumed at the byte that the registry reports; an upload
// that the registry has lost starts anew.
import { createReadStream } from "node:fs";
import { PlatformError } from "../../contract/errors.ts";
import { BROKEN, REGISTRY_LIMITS, type Head, type RegistryClient } from "./client.ts";

interface Blob {
  file: string;
  digest: string;
  size: number;
}
interface Upload {
  client: RegistryClient;
  repository: string;
  blob: Blob;
  /** URL for the next request of this upload; each answer may change it. */
  location: URL;
  /** Size of a chunk, bytes. */
  chunk: number;
}
const BINARY = { "content-type": "application/octet-stream" };
/** Statuses by which a registry says that it no longer has the upload, or that its offset is another one than we sent. */
const LOST = [400, 404, 416, BROKEN];

/** How often one upload may be resumed while the registry is still writing earlier bytes. */
const MOST_EARLY = 20;

/** The registry has the blob when this resolves. `has` asks the registry for the blob, because an answer may have been lost. */
export async function uploadBlob(client: RegistryClient, repository: string, blob: Blob, has: () => Promise<boolean>): Promise<void> {
  for (let begun = 1; begun <= REGISTRY_LIMITS.tries; begun++) {
    const upload = await begin(client, repository, blob);
    const done = await transfer(upload).catch(async (error: unknown) => {
      await cancel(upload);
      throw error;
    });
    if (done || (await has())) return;
    await cancel(upload);
    await client.pause(begun);
  }
  throw new PlatformError("UNAVAILABLE", `The image registry lost an upload ${REGISTRY_LIMITS.tries} times.`);
}

async function begin(client: RegistryClient, repository: string, blob: Blob): Promise<Upload> {
  const begun = await client.call({ method: "POST", to: `${repository}/blobs/uploads/`, repository, expect: [202] });
  const least = Number(begun.headers["oci-chunk-min-length"] ?? 0);
  const chunk = Math.max(REGISTRY_LIMITS.chunkBytes, Number.isFinite(least) ? least : 0);
  return { client, repository, blob, location: locationOf(client, begun), chunk };
}

async function cancel({ client, location: to, repository }: Upload): Promise<void> {
  await client.call({ method: "DELETE", to, repository, expect: [204, ...LOST, 405] }).catch(() => undefined);
}

/** False: the registry may have lost the upload. */
async function transfer(upload: Upload): Promise<boolean> {
  const { client, repository, blob, chunk } = upload;
  const whole = blob.size <= chunk;
  if (!whole && !(await sendChunks(upload))) return false;
  const to = new URL(upload.location);
  to.searchParams.set("digest", blob.digest);
  const headers = { ...BINARY, "content-length": String(whole ? blob.size : 0) };
  const body = whole ? () => createReadStream(blob.file) : () => Buffer.alloc(0);
  const answer = await client.call({ method: "PUT", to, repository, headers, body, expect: [201, ...LOST] });
  return answer.statusCode === 201;
}

async function sendChunks(upload: Upload): Promise<boolean> {
  const { blob, chunk } = upload;
  for (let start = 0, stuck = 0, early = 0; start < blob.size;) {
    const end = Math.min(start + chunk, blob.size) - 1;
    const status = await sendChunk(upload, start, end);
    if (status === 202) {
      start = end + 1;
      stuck = 0;
      continue;
    }
    const next = await progressOf(upload);
    // A busy registry still writes the bytes that came before a break, and refuses more until then: this counts as progress, up to
    // MOST_EARLY times.
    const came = status !== BROKEN && next !== undefined && next > start && ++early < MOST_EARLY;
    if (!came) stuck += 1;
    if (next === undefined || next > blob.size || stuck === REGISTRY_LIMITS.tries) return false;
    start = next;
    await upload.client.pause(Math.max(1, stuck));
  }
  return true;
}

/** Resolves with the answer's status; 202 means that the chunk was accepted. */
async function sendChunk(upload: Upload, start: number, end: number): Promise<number> {
  const { client, repository, blob, location: to } = upload;
  const headers = { ...BINARY, "content-range": `${start}-${end}`, "content-length": String(end - start + 1) };
  const body = () => createReadStream(blob.file, { start, end });
  const answer = await client.call({ method: "PATCH", to, repository, headers, body, expect: [202, ...LOST] });
  if (answer.statusCode === 202) upload.location = locationOf(client, answer);
  return answer.statusCode;
}

/** How many bytes the registry has (distribution-spec, "Get the status of an upload"); undefined when the upload cannot be resumed. */
async function progressOf(upload: Upload): Promise<number | undefined> {
  const { client, repository, location: to } = upload;
  const answer = await client.call({ method: "GET", to, repository, expect: [204, ...LOST.filter((status) => status !== BROKEN)] });
  if (answer.statusCode !== 204) return undefined;
  if (answer.headers.location !== undefined) upload.location = locationOf(client, answer);
  // distribution also answers `0-0` for an empty upload; since no chunk is a single byte, `0-0` always means empty here.
  const last = Number(/^(?:bytes=)?0-(\d+)$/.exec(String(answer.headers["range"] ?? ""))?.[1] ?? 0);
  return last === 0 ? 0 : last + 1;
}

function locationOf(client: RegistryClient, answer: Head): URL {
  const { location } = answer.headers;
  if (typeof location !== "string") throw new PlatformError("UNAVAILABLE", "The image registry does not say where an upload goes on.");
  return new URL(location, client.registry);
}
