// The platform's side of the builder protocol. A builder runs a tenant's build, so every answer of it is capped, timed and parsed.
import type { Readable } from "node:stream";
import type { Client } from "undici";
import { PlatformError } from "../contract/errors.ts";
import { LIMITS } from "../contract/limits.ts";
import { BUILDER_PATHS, builderEventSchema, initFailedSchema, type BuildRequest, type BuilderEvent } from "../contract/runtime-protocol.ts";
import { connect, type Reachable } from "./instance-client.ts";
import { splitLines } from "../service/http/lines.ts";

/** One event is a log line at most this long, and some JSON around it. */
const EVENT_CAP = 64 * 1024;
const tarCap = LIMITS.layerBytes + LIMITS.layerFiles * 2048;

const ended = (cause: unknown) =>
  new PlatformError("BUILD_FAILED", "The build ended without a result.", {
    hint: "It may have used too much memory or time; see the build's log.",
    cause,
  });

export function createBuilderClient(instance: Reachable) {
  const client: Client = connect(instance, LIMITS.buildMs, tarCap);
  const deadline = AbortSignal.timeout(LIMITS.buildMs);
  return {
    /** Sends the source archive. Throws INVALID_ARCHIVE, with the reason, when the builder rejects it. */
    async putSource(source: Readable): Promise<void> {
      const answer = await client
        .request({
          method: "PUT",
          path: BUILDER_PATHS.source,
          headers: { "content-type": "application/gzip" },
          body: source,
          signal: deadline,
        })
        .catch((error: unknown) => Promise.reject(ended(error)));
      const text = await answer.body.text();
      if (answer.statusCode < 300) return;
      const failed = initFailedSchema.safeParse(parse(text.slice(0, EVENT_CAP)));
      throw new PlatformError("INVALID_ARCHIVE", failed.success ? failed.data.message.slice(0, 2000) : "The source archive was refused.");
    },

    /** Runs the build; log lines go to `onEvent` as they come. Resolves with the function's entry file that the build found. */
    async build(request: BuildRequest, onEvent: (event: BuilderEvent) => void): Promise<{ file: string; name?: string | undefined }> {
      const answer = await client
        .request({
          method: "POST",
          path: BUILDER_PATHS.build,
          headers: { "content-type": "application/json" },
          body: JSON.stringify(request),
          signal: deadline,
        })
        .catch((error: unknown) => Promise.reject(ended(error)));
      try {
        for await (const line of splitLines(answer.body, EVENT_CAP)) {
          const event = builderEventSchema.parse(parse(line));
          if (event.type === "done") return event.entry;
          if (event.type === "failed")
            throw new PlatformError("BUILD_FAILED", event.message.slice(0, 8000), { hint: event.hint?.slice(0, 500) });
          onEvent(event);
        }
      } catch (error) {
        throw error instanceof PlatformError ? error : ended(error);
      }
      throw ended(undefined);
    },

    /** The built layer as a tar stream, which is hostile until it has gone through `canonicalLayer`. */
    async layer(): Promise<Readable> {
      const answer = await client
        .request({ method: "GET", path: BUILDER_PATHS.layer, signal: deadline })
        .catch((error: unknown) => Promise.reject(ended(error)));
      if (answer.statusCode !== 200) throw ended(undefined);
      return answer.body;
    },
    close: () => void client.destroy(),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
