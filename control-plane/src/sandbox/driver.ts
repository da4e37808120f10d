// The one interface between the platform and the technology that isolates code. Its methods are idempotent. A driver reads no environment
// and no database, never downgrades an isolation, and refuses with a coded error when it cannot do what is asked.
import type { Client } from "undici";
import { z } from "zod";
import { addressSchema } from "../contract/instance-address.ts";
import { digestSchema, isolationSchema, uuidSchema, type Isolation } from "../contract/names.ts";
import { CODE_SIZES_MIB, MEMORY_SIZES_MIB } from "../contract/limits.ts";

/** The length is fixed because runsc finds an id ambiguous that is a prefix of another one. */
export const instanceIdSchema = z.string().regex(/^[0-9a-f]{20}$/);

export const sandboxSpecSchema = z.strictObject({
  id: instanceIdSchema,
  kind: z.enum(["function", "builder"]),
  /** Digest of the base image; the driver holds its unpacked root file system. */
  base: digestSchema,
  isolation: isolationSchema,
  memoryMib: z.literal([...MEMORY_SIZES_MIB]),
  /** Gives the sandbox access to the egress proxy; without it only loopback exists inside. */
  egress: z.boolean(),
  epoch: z.int(),
  /** The tenant, where a sandbox runs in its tenant's own network from its start (Kubernetes); ignored elsewhere. */
  tenantId: uuidSchema.optional(),
  /** The weakest isolation that its tenant may have; on Kubernetes the tenant's namespace enforces it. */
  floor: isolationSchema.optional(),
  /** Room for code that is sent into the sandbox, MiB (Kubernetes); elsewhere code is mounted from the host. */
  codeMib: z.literal([...CODE_SIZES_MIB]).optional(),
});
export type SandboxSpec = z.infer<typeof sandboxSpecSchema>;

/** The version whose code is loaded into a generic sandbox, which then belongs to it for life (SECURITY H1). */
export const imageRefSchema = z.strictObject({
  tenantId: uuidSchema,
  functionId: uuidSchema,
  versionId: uuidSchema,
  version: z.int().positive(),
  /** SHA-256 of the version's configuration: an instance is never reused with another configuration. */
  configHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** diff_id of the code layer; the driver finds the unpacked layer in the tenant's folder. */
  layer: digestSchema,
});
export type ImageRef = z.infer<typeof imageRefSchema>;

export const sandboxSchema = z.object({
  ...sandboxSpecSchema.shape,
  state: z.enum(["starting", "idle", "loaded", "ended"]),
  startedAt: z.number(),
  address: addressSchema.optional(),
  image: imageRefSchema.optional(),
  /** Why it ended; an ended sandbox stays listed until `stop` is called. */
  ended: z.object({ reason: z.enum(["exited", "oom", "start-failed"]), detail: z.string() }).optional(),
});
export type Sandbox = z.infer<typeof sandboxSchema>;

/** A sandbox that has got the code. `settled` resolves when its version is recorded, which must be before the sandbox is used. */
export interface Loading {
  sandbox: Sandbox;
  settled: Promise<void>;
}
/** For a driver that sends no code and whose loads are settled at once: implements `beginLoad` and `takeConnection` by `load`. */
export const settledLoads = (load: SandboxDriver["load"]): Pick<SandboxDriver, "beginLoad" | "takeConnection"> => ({
  beginLoad: async (id, image) => ({ sandbox: await load(id, image), settled: Promise.resolve() }),
  takeConnection: () => undefined,
});

export interface SandboxDriver {
  readonly name: string;
  readonly isolations: readonly Isolation[];
  /**
   * Starts a generic sandbox, and before it creates what the tenant still lacks for it (a namespace, a policy); resolves when the sandbox
   * is idle, that is, answers on its address.
   */
  start(spec: SandboxSpec): Promise<Sandbox>;
  /** Puts the code of `image` into an idle sandbox. A second call with the same image does nothing, one with another image fails. */
  load(id: string, image: ImageRef): Promise<Sandbox>;
  /** Like `load`, for a caller that has something else to do until the load is settled. */
  beginLoad(id: string, image: ImageRef): Promise<Loading>;
  /** The connection by which the sandbox got its code, if there was one and it is still open; the caller must end it. */
  takeConnection(id: string): Client | undefined;
  /** Ends the sandbox and removes all of it: processes, cgroups, mounts, folders. Unknown ids are no error. */
  stop(id: string): Promise<void>;
  /** All existing sandboxes, including ended ones; a restarted caller relies on this list alone. */
  list(): Promise<Sandbox[]>;
  /** Ends all sandboxes of the tenant, and removes everything that was made for the tenant. Unknown ids are no error. */
  removeTenant(tenantId: string): Promise<void>;
}
