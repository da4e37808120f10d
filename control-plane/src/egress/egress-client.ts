// Tells the egress proxy which sandbox may use it, and which hosts the sandbox may reach.
import { z } from "zod";
import { PlatformError } from "../contract/errors.ts";
import type { EgressSource } from "../contract/internal.ts";
import { createCaller } from "../service/http/call.ts";

const TIMEOUT_MS = 5_000;
/** Every start of a sandbox asks for its socket; none shall fail because the proxy begins again, which takes it less than a second. */
const PATIENCE_MS = 3_000;

const listSchema = z.object({ sources: z.array(z.object({ instance: z.string(), ageMs: z.number() })) });
export type Source = z.infer<typeof listSchema>["sources"][number];

export function createEgressClient(socketPath: string, secret: string) {
  const dial = { origin: "http://egress", connect: { socketPath } };
  const { ask } = createCaller({ dial, who: "The egress proxy", secret, connections: 4, timeoutMs: TIMEOUT_MS, patienceMs: PATIENCE_MS });
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
    /** All sources, and for how long the proxy has had them. */
    list: async (): Promise<Source[]> => (await ask({ method: "GET", path: "/internal/v1/sources" }, listSchema).catch(refused)).sources,
    /** Removing a source that does not exist succeeds. */
    remove: async (instance: string): Promise<void> =>
      void (await ask({ method: "DELETE", path: path(instance) }, z.unknown()).catch(gone)),
  };
}
export type EgressClient = ReturnType<typeof createEgressClient>;
