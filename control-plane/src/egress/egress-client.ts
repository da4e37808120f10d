// Tells the egress proxy which sandbox may go out, and where.
import { z } from "zod";
import { PlatformError } from "../contract/errors.ts";
import type { EgressSource } from "../contract/internal.ts";
import { createCaller } from "../service/http/call.ts";

const TIMEOUT_MS = 5_000;

export function createEgressClient(socketPath: string, secret: string) {
  const dial = { origin: "http://egress", connect: { socketPath } };
  const { ask } = createCaller({ dial, who: "The egress proxy", secret, connections: 4, timeoutMs: TIMEOUT_MS });
  const path = (instance: string) => `/internal/v1/sources/${instance}`;
  /** Whatever it is that the proxy refuses, it is not the fault of whose sandbox it is: a build waits until it is mended. */
  const refused = (cause: unknown): never => {
    if (cause instanceof PlatformError && cause.code === "UNAVAILABLE") throw cause;
    throw new PlatformError("UNAVAILABLE", "The egress proxy refused.", { cause });
  };
  const gone = (error: unknown): unknown => (error instanceof PlatformError && error.code === "NOT_FOUND" ? undefined : refused(error));
  return {
    put: async (instance: string, source: EgressSource): Promise<void> =>
      void (await ask({ method: "PUT", path: path(instance), body: source }, z.unknown()).catch(refused)),
    /** One that is not there is gone. */
    remove: async (instance: string): Promise<void> =>
      void (await ask({ method: "DELETE", path: path(instance) }, z.unknown()).catch(gone)),
  };
}
export type EgressClient = ReturnType<typeof createEgressClient>;
