// Pushes one blob that lies in a file: in one request, or in chunks that are resumed where the registry says that it stopped.
import { createReadStream } from "node:fs";
import { PlatformError } from "../../contract/errors.ts";
import { REGISTRY_LIMITS, type Answer, type RegistryClient } from "./client.ts";

interface Blob {
  file: string;
  digest: string;
  size: number;
}

/** The registry has the blob when this resolves. */
export async function uploadBlob(client: RegistryClient, repository: string, blob: Blob): Promise<void> {
  const begun = await client.call({ method: "POST", to: `${repository}/blobs/uploads/`, repository, expect: [202] });
  await begun.body.dump();
  let location = locationOf(client, begun);
  const least = Number(begun.headers["oci-chunk-min-length"] ?? 0);
  const chunk = Math.max(REGISTRY_LIMITS.chunkBytes, Number.isFinite(least) ? least : 0);
  try {
    if (blob.size > chunk) location = await sendChunks(client, repository, blob, location, chunk);
    await finish(client, repository, blob, location, blob.size > chunk);
  } catch (error) {
    await client.call({ method: "DELETE", to: location, repository, expect: [204, 404, 405] }).then(
      (answer) => answer.body.dump(),
      () => undefined,
    );
    throw error;
  }
}

async function finish(client: RegistryClient, repository: string, blob: Blob, location: URL, sent: boolean): Promise<void> {
  const to = new URL(location);
  to.searchParams.set("digest", blob.digest);
  const headers = { "content-type": "application/octet-stream", "content-length": String(sent ? 0 : blob.size) };
  const body = sent ? () => Buffer.alloc(0) : () => createReadStream(blob.file);
  const answer = await client.call({ method: "PUT", to, repository, headers, body, expect: [201] });
  await answer.body.dump();
}

async function sendChunks(client: RegistryClient, repository: string, blob: Blob, first: URL, chunk: number): Promise<URL> {
  let location = first;
  for (let start = 0; start < blob.size;) {
    const end = Math.min(start + chunk, blob.size) - 1;
    const answer = await client.call({
      method: "PATCH",
      to: location,
      repository,
      headers: {
        "content-type": "application/octet-stream",
        "content-range": `${start}-${end}`,
        "content-length": String(end - start + 1),
      },
      body: () => createReadStream(blob.file, { start, end }),
      expect: [202, 416],
    });
    await answer.body.dump();
    if (answer.statusCode === 416) {
      const status = await client.call({ method: "GET", to: location, repository, expect: [204] });
      await status.body.dump();
      const next = endOf(status) + 1;
      if (next === start) throw new PlatformError("UNAVAILABLE", "The image registry takes no more of an upload.");
      start = next;
      location = locationOf(client, status) ?? location;
      continue;
    }
    location = locationOf(client, answer);
    start = end + 1;
  }
  return location;
}

/** `Range: 0-<end>` of an upload's state. */
const endOf = (answer: Answer): number => Number(/^0-(\d+)$/.exec(String(answer.headers["range"] ?? ""))?.[1] ?? -1);

function locationOf(client: RegistryClient, answer: Answer): URL {
  const { location } = answer.headers;
  if (typeof location !== "string") throw new PlatformError("UNAVAILABLE", "The image registry does not say where an upload goes on.");
  return new URL(location, client.registry);
}
