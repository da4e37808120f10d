// Tells the egress proxy which sandbox may go out, and where.
import { Pool } from "undici";
import { PlatformError } from "../contract/errors.ts";
import type { EgressSource } from "../contract/internal.ts";

const TIMEOUT_MS = 5_000;

export function createEgressClient(socketPath: string, secret: string) {
  const pool = new Pool("http://egress", { socketPath, connections: 4, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  async function call(method: "PUT" | "DELETE", instance: string, body?: string): Promise<void> {
    const answer = await pool
      .request({ method, path: `/internal/v1/sources/${instance}`, headers, ...(body === undefined ? {} : { body }) })
      .catch((error: unknown) => Promise.reject(new PlatformError("UNAVAILABLE", "The egress proxy does not answer.", { cause: error })));
    const text = await answer.body.text();
    if (answer.statusCode >= 300 && !(method === "DELETE" && answer.statusCode === 404))
      throw new PlatformError("UNAVAILABLE", `The egress proxy refused: ${text.slice(0, 300)}`);
  }
  return {
    put: (instance: string, source: EgressSource) => call("PUT", instance, JSON.stringify(source)),
    remove: (instance: string) => call("DELETE", instance),
  };
}
export type EgressClient = ReturnType<typeof createEgressClient>;
