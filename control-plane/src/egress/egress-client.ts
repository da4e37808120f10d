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
  return {
    put: async (instance: string, source: EgressSource): Promise<void> =>
      void (await ask({ method: "PUT", path: path(instance), body: source }, z.unknown())),
    /** One that is not there is gone. */
    async remove(instance: string): Promise<void> {
      await ask({ method: "DELETE", path: path(instance) }, z.unknown()).catch((error: unknown) => {
        if (!(error instanceof PlatformError && error.code === "NOT_FOUND")) throw error;
      });
    },
  };
}
export type EgressClient = ReturnType<typeof createEgressClient>;
