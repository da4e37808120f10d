// A build's events from first to last. If the connection breaks or the platform restarts, reading continues after the last event seen.
import { setTimeout as sleep } from "node:timers/promises";
import { buildEventSchema, type BuildEvent } from "@fnctl/control-plane/contract/resources";
import { CliError } from "../errors/cli-error.ts";
import { networkError, type ApiClient } from "./client.ts";
import { jsonLines } from "./ndjson.ts";

/** Waiting ends when the platform does not answer and no event has come for this long. */
const PATIENCE_MS = 120_000;
const PAUSE_MS = 500;

export async function* buildEvents(api: ApiClient, buildId: string, signal: AbortSignal): AsyncGenerator<BuildEvent> {
  let last = -1;
  let heardAt = performance.now();
  while (true) {
    try {
      const response = await api.send("GET", `/v1/builds/${buildId}/events?after=${last}`, { signal });
      heardAt = performance.now();
      for await (const value of jsonLines(response)) {
        const event = buildEventSchema.safeParse(value).data;
        if (event === undefined || event.seq <= last) continue; // skips events seen before, and unknown kinds of a newer platform
        last = event.seq;
        heardAt = performance.now();
        yield event;
        if (event.type === "end") return;
      }
    } catch (error) {
      if (signal.aborted) throw networkError(api.url, error, undefined, signal);
      if (error instanceof CliError && error.code !== "UNREACHABLE" && error.code !== "UNAVAILABLE") throw error;
      if (performance.now() - heardAt > PATIENCE_MS) throw networkError(api.url, error, undefined, signal);
    }
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
  }
}
