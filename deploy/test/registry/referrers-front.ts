// Adds the referrers API to a registry that lacks it: a front that keeps its own record of subjects. Everything else is the real registry.
import { createHash } from "node:crypto";
import type http from "node:http";
import { startFront, type Front, type Seen } from "./front.ts";

interface Entry {
  mediaType: string;
  digest: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
}
type Described = Pick<Entry, "mediaType" | "artifactType" | "annotations"> & { subject?: { digest: string } };
export interface ReferrersOptions {
  /** Number of entries in a page. */
  page?: number;
  /** Whether the front filters by type and says so in its answer. */
  filters?: boolean;
}
const INDEX = "application/vnd.oci.image.index.v1+json";
const LISTED = /^(\/v2\/(.+)\/referrers\/(sha256:[0-9a-f]{64}))(\?.*)?$/;
const MANIFEST = /^\/v2\/(.+)\/manifests\/([^?]+)/;

export async function startReferrersFront(target: string, { page = 100, filters = true }: ReferrersOptions = {}) {
  const record = new Map<string, Entry[]>();
  const recordOf = (key: string) => record.get(key) ?? record.set(key, []).get(key)!;

  function list(response: http.ServerResponse, place: string, key: string, query: URLSearchParams): void {
    const type = query.get("artifactType");
    const matching = recordOf(key).filter((entry) => !filters || type === null || entry.artifactType === type);
    const from = Number(query.get("from") ?? 0);
    const headers: Record<string, string> = { "content-type": INDEX };
    if (filters && type !== null) headers["oci-filters-applied"] = "artifactType";
    if (from + page < matching.length)
      headers["link"] =
        `<${place}?${new URLSearchParams({ ...Object.fromEntries(query), from: String(from + page) }).toString()}>; rel="next"`;
    response.writeHead(200, headers);
    response.end(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: matching.slice(from, from + page) }));
  }

  function note({ body, path }: Seen, headers: http.IncomingHttpHeaders): void {
    const { mediaType, artifactType, annotations, subject } = JSON.parse(body!.toString()) as Described;
    if (subject === undefined) return;
    const digest = `sha256:${createHash("sha256").update(body!).digest("hex")}`;
    const entries = recordOf(`${MANIFEST.exec(path)![1]}@${subject.digest}`);
    const entry: Entry = { mediaType, digest, size: body!.length };
    if (artifactType !== undefined) entry.artifactType = artifactType;
    if (annotations !== undefined) entry.annotations = annotations;
    if (!entries.some((known) => known.digest === digest)) entries.push(entry);
    headers["oci-subject"] = subject.digest;
  }

  function forget({ path }: Seen): void {
    const [, repository, digest] = MANIFEST.exec(path) ?? [];
    for (const [key, entries] of record)
      if (key.startsWith(`${repository}@`))
        record.set(
          key,
          entries.filter((entry) => entry.digest !== digest),
        );
  }

  const front: Front = await startFront(target, {
    answer(seen, response) {
      const [, place, repository, subject, query] = LISTED.exec(seen.path) ?? [];
      if (seen.method !== "GET" || place === undefined) return false;
      list(response, place, `${repository}@${subject}`, new URLSearchParams(query));
      return true;
    },
    adjust(seen, headers) {
      if (seen.body !== undefined) note(seen, headers);
      else if (seen.method === "DELETE") forget(seen);
    },
  });
  return { ...front, record };
}
