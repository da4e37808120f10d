// Tells the egress proxy which sandbox may use it, and which hosts the sandbox may reach.
import { z } from "zod";
import { PlatformError } from "../contract/errors.ts";
import type { EgressSource } from "../contract/internal.ts";
import { createCaller } from "../service/http/call.ts";

const TIMEOUT_MS = 5_000;

export function createEgressClient(socketPath: string, secret: string) {
  const dial = { origin: "http://egress", connect: { socketPath } };
  const { ask } = createCaller({ dial, who: "The egress proxy", secret, connections: 4, timeoutMs: TIMEOUT_MS });
  const path = (instance: string) => `/internal/v1/sources/${instance}`;
  /** A refusal by the proxy is never the tenant's fault, so it becomes UNAVAILABLE: a build waits until the cause is fixed. */
  const refused = (cause: unknown): never => {
    if (cause instanceof PlatformError && cause.code === "UNAVAILABLE") throw cause;
    throw new PlatformError("UNAVAILABLE", "The egress proxy refused.", { cause });
  };
  const gone = (error: unknown): unknown => (error instanceof PlatformError && error.code === "NOT_FOUND" ? undefined : refused(error));
  return {
    put: async (instance: string, source: EgressSource): Promise<void> =>
      void (await ask({ method: "PUT", path: path(instance), body: source }, z.unknown()).catch(refused)),
    /** Removing a source that does not exist succeeds. */
    remove: async (instance: string): Promise<void> =>
      void (await ask({ method: "DELETE", path: path(instance) }, z.unknown()).catch(gone)),
  };
}
export type EgressClient = ReturnType<typeof createEgressClient>;
