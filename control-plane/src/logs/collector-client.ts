// The control plane's side of the log collector: reads for the API, and the platform's own records about instances.
import type { Readable } from "node:stream";
import { Pool } from "undici";
import { z } from "zod";
import { PlatformError } from "../contract/errors.ts";
import type { LogReader } from "../api/log-routes.ts";

export interface PlatformNote {
  tenantId: string;
  functionId: string;
  version: number;
  instance: string;
  level: "info" | "warn" | "error";
  message: string;
}

export interface CollectorClient extends LogReader {
  note(note: PlatformNote): Promise<void>;
  /** Everybody of whom lines are kept. */
  owners(): Promise<{ tenantId: string; functionId: string }[]>;
  remove(tenantId: string, functionId: string): Promise<void>;
}
const ownersSchema = z.array(z.object({ tenantId: z.string(), functionId: z.string() }));

export function createCollectorClient(socketPath: string): CollectorClient {
  const pool = new Pool("http://collector", { socketPath, connections: 64, headersTimeout: 10_000, bodyTimeout: 0 });
  const away = (error: unknown) =>
    Promise.reject(
      error instanceof PlatformError ? error : new PlatformError("UNAVAILABLE", "The log collector does not answer.", { cause: error }),
    );
  return {
    async read(tenantId, functionId, query, signal): Promise<Readable> {
      const search = new URLSearchParams(
        Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)] as [string, string]])),
      );
      const answer = await pool
        .request({ method: "GET", path: `/v1/logs/${tenantId}/${functionId}?${search.toString()}`, signal })
        .catch(away);
      if (answer.statusCode !== 200) return away(undefined);
      answer.body.on("error", () => undefined); // the reader went away
      return answer.body;
    },
    async note(note) {
      const answer = await pool
        .request({ method: "POST", path: "/v1/notes", headers: { "content-type": "application/json" }, body: JSON.stringify(note) })
        .catch(away);
      await answer.body.dump();
    },
    async owners() {
      const answer = await pool.request({ method: "GET", path: "/v1/logs" }).catch(away);
      return answer.statusCode === 200 ? ownersSchema.parse(await answer.body.json()) : away(undefined);
    },
    async remove(tenantId, functionId) {
      const answer = await pool.request({ method: "DELETE", path: `/v1/logs/${tenantId}/${functionId}` }).catch(away);
      await answer.body.dump();
    },
  };
}
