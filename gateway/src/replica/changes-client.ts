// The change stream as the control plane serves it, and the reports of how far it has been applied.
import { INTERNAL_PATHS } from "@fnctl/control-plane/contract/internal";
import { fromProblem } from "@fnctl/control-plane/contract/errors";
import type { createCaller } from "@fnctl/control-plane/service/http/call";
import { z } from "zod";
import { FEED_LIMITS } from "./limits.ts";

export interface ChangesClient {
  /** Reports that all changes up to this position of the stream have been applied. */
  applied(at: string): Promise<void>;
  /** The change stream's lines as they come. `signal` ends it. */
  changes(since: string | undefined, signal: AbortSignal): Promise<AsyncIterable<Buffer>>;
}

/** `holder`: one name for the life of the process (contract/holder.ts). */
export function createChangesClient({ ask, open }: Pick<ReturnType<typeof createCaller>, "ask" | "open">, holder: string): ChangesClient {
  return {
    applied: async (at) =>
      void (await ask({ method: "POST", path: INTERNAL_PATHS.applied, body: { holder, at }, timeoutMs: FEED_LIMITS.callMs }, z.object({}))),
    async changes(since, signal) {
      const query = new URLSearchParams({ holder, ...(since === undefined ? {} : { since }) });
      const response = await open({ method: "GET", path: `${INTERNAL_PATHS.changes}?${query.toString()}`, signal });
      if (response.statusCode === 200) return response.body;
      throw fromProblem(await response.body.json().catch(() => undefined));
    },
  };
}
