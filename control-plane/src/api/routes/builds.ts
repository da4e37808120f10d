// Source blobs, and builds with their event stream.
import { Readable } from "node:stream";
import { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import { LIMITS } from "../../contract/limits.ts";
import { digestSchema } from "../../contract/names.ts";
import { buildSchema } from "../../contract/resources.ts";
import { MOST_INTEGER } from "../../contract/text.ts";
import type { FreeSpace } from "../../service/free-space.ts";
import type { BlobStore } from "../../sources/blob-store.ts";
import type { BuildStore } from "../../builds/build-store.ts";
import { buildResource } from "../../functions/resources.ts";
import { callerOf, tenantOf } from "../frame/context.ts";
import { operation } from "../frame/operation.ts";
import { createRouter } from "../frame/router.ts";
import { NDJSON, PROBLEMS, json, stream } from "../frame/responses.ts";

export interface BuildDeps {
  /** Refuses uploads while the disk is nearly full. */
  freeSpace: Pick<FreeSpace, "require">;
  blobs: BlobStore;
  builds: BuildStore;
  /** Resolves when gateways have applied all changes that were committed before the call, or their time for it is over. */
  published(): Promise<unknown>;
  /** Resolves when the build may have news, or after `timeoutMs`. */
  buildChanged(buildId: string, timeoutMs: number): Promise<void>;
}
const POLL_MS = 1_000;
const BATCH = 500;
const digested = { params: z.object({ digest: digestSchema }) };
const identified = { params: z.object({ id: z.uuid() }) };

const query = z.object({
  after: z.coerce.number().int().min(-1).max(MOST_INTEGER).default(-1),
  follow: z.enum(["true", "false"]).default("true"),
});

const FIND_BLOB = operation("deploy", {
  method: "get",
  path: "/v1/blobs/{digest}",
  tags: ["sources"],
  request: digested,
  responses: { ...PROBLEMS, 204: { description: "The tenant has this blob" } },
});
const PUT_BLOB = operation("deploy", {
  method: "put",
  path: "/v1/blobs/{digest}",
  tags: ["sources"],
  request: digested,
  responses: { ...PROBLEMS, 201: { description: "Stored" } },
});
const READ_BUILD = operation("read", {
  method: "get",
  path: "/v1/builds/{id}",
  tags: ["builds"],
  request: identified,
  responses: { ...PROBLEMS, 200: json(buildSchema, "The build") },
});
const FOLLOW_BUILD = operation("read", {
  method: "get",
  path: "/v1/builds/{id}/events",
  tags: ["builds"],
  request: { ...identified, query },
  responses: { ...PROBLEMS, 200: stream("Events after `after`; follows until the build ends") },
});

export function buildRoutes({ freeSpace, blobs, builds, buildChanged, published }: BuildDeps) {
  const app = createRouter();

  app.openapi(FIND_BLOB, async (c) => {
    const has = await blobs.has(callerOf(c), c.req.valid("param").digest);
    if (!has) throw new PlatformError("NOT_FOUND", "There is no such blob.");
    return c.body(null, 204);
  });

  app.openapi(PUT_BLOB, async (c) => {
    const caller = callerOf(c);
    if (Number(c.req.header("content-length") ?? 0) > LIMITS.sourceArchiveBytes)
      throw new PlatformError("PAYLOAD_TOO_LARGE", `A source archive has at most ${LIMITS.sourceArchiveBytes} bytes.`);
    await freeSpace.require();
    if (c.req.raw.body === null) throw new PlatformError("BAD_REQUEST", "The request has no body.");
    await blobs.put(caller, c.req.valid("param").digest, Readable.fromWeb(c.req.raw.body as never));
    return c.body(null, 201);
  });

  app.openapi(READ_BUILD, async (c) => {
    return c.json(buildResource(await builds.get({ tenantId: tenantOf(c), buildId: c.req.valid("param").id })), 200);
  });

  app.openapi(FOLLOW_BUILD, async (c) => {
    const job = { tenantId: tenantOf(c), buildId: c.req.valid("param").id };
    const { after, follow } = c.req.valid("query");
    await builds.get(job); // 404 before the stream begins
    if (c.req.method === "HEAD") return c.body(null, 200, NDJSON) as never;
    const lines = Readable.from(eventLines(job, after, follow === "true", c.req.raw.signal));
    return c.body(Readable.toWeb(lines) as never, 200, NDJSON) as never;
  });

  async function* eventLines(job: { tenantId: string; buildId: string }, after: number, follow: boolean, signal: AbortSignal) {
    let last = after;
    while (!signal.aborted) {
      const changed = buildChanged(job.buildId, POLL_MS);
      const ended = (await builds.get(job)).endedAt !== null;
      const events = await builds.events(job, last, BATCH);
      // A client that reads the end event may rely on the new version being served.
      if (ended || events.some(({ type }) => type === "end")) await published();
      for (const event of events) yield Buffer.from(`${JSON.stringify(event)}\n`); // a response body needs bytes, not strings
      last = events.at(-1)?.seq ?? last;
      if (events.length === BATCH) continue;
      if (ended || !follow) return;
      await changed;
    }
  }
  return app;
}
