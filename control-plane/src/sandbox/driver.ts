// The one interface between the platform and whatever isolates code. Verbs are idempotent. A driver reads no environment and no
// database, never downgrades an isolation, and refuses with a coded error what it cannot do.
import type { Client } from "undici";
import { z } from "zod";
import { addressSchema } from "../contract/instance-address.ts";
import { digestSchema, isolationSchema, uuidSchema, type Isolation } from "../contract/names.ts";
import { CODE_SIZES_MIB, MEMORY_SIZES_MIB } from "../contract/limits.ts";

/** Fixed length: runsc takes an id that is a prefix of another as ambiguous. */
export const instanceIdSchema = z.string().regex(/^[0-9a-f]{20}$/);

export const sandboxSpecSchema = z.strictObject({
  id: instanceIdSchema,
  kind: z.enum(["function", "builder"]),
  /** Digest of the base image; the driver holds its unpacked root file system. */
  base: digestSchema,
  isolation: isolationSchema,
  memoryMib: z.literal([...MEMORY_SIZES_MIB]),
  /** Mounts the egress proxy's socket of this instance; without it nothing but loopback exists inside. */
  egress: z.boolean(),
  epoch: z.int(),
  /** Where a sandbox belongs to a tenant from its start, because the tenant's network is made for it (Kubernetes); elsewhere ignored. */
  tenantId: uuidSchema.optional(),
  /** The least isolation that its tenant may have; where the tenant has a place of its own, that place enforces it. */
  floor: isolationSchema.optional(),
  /** Room for code that is sent in, MiB (Kubernetes); elsewhere code lies on the host. */
  codeMib: z.literal([...CODE_SIZES_MIB]).optional(),
});
export type SandboxSpec = z.infer<typeof sandboxSpecSchema>;

/** What a generic sandbox becomes, once and for life (SECURITY H1). */
export const imageRefSchema = z.strictObject({
  tenantId: uuidSchema,
  functionId: uuidSchema,
  versionId: uuidSchema,
  version: z.int().positive(),
  /** SHA-256 of the version's configuration: another configuration is another instance. */
  configHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** diff_id of the code layer; the driver finds it unpacked under the tenant. */
  layer: digestSchema,
});
export type ImageRef = z.infer<typeof imageRefSchema>;

export const sandboxSchema = z.object({
  ...sandboxSpecSchema.shape,
  state: z.enum(["starting", "idle", "loaded", "ended"]),
  startedAt: z.number(),
  address: addressSchema.optional(),
  image: imageRefSchema.optional(),
  /** Why it ended, while it is still listed: until `stop` is called. */
  ended: z.object({ reason: z.enum(["exited", "oom", "start-failed"]), detail: z.string() }).optional(),
});
export type Sandbox = z.infer<typeof sandboxSchema>;

/** The code is in; `settled` when it is written down whose it is, which must be before anybody is given the sandbox. */
export interface Loading {
  sandbox: Sandbox;
  settled: Promise<void>;
}
/** Of a driver whose loads are settled when they are done, and that sends no code. */
export const settledLoads = (load: SandboxDriver["load"]): Pick<SandboxDriver, "beginLoad" | "takeConnection"> => ({
  beginLoad: async (id, image) => ({ sandbox: await load(id, image), settled: Promise.resolve() }),
  takeConnection: () => undefined,
});

export interface SandboxDriver {
  readonly name: string;
  readonly isolations: readonly Isolation[];
  /** Starts a generic sandbox, with whatever its tenant needs for it (a namespace, a policy); resolves when it is idle, that is, answers on its address. */
  start(spec: SandboxSpec): Promise<Sandbox>;
  /** Puts the code of `image` into an idle sandbox. A second call with the same image does nothing, with another it fails. */
  load(id: string, image: ImageRef): Promise<Sandbox>;
  /** `load`, for a caller that has something else to do while it settles. */
  beginLoad(id: string, image: ImageRef): Promise<Loading>;
  /** The connection by which the sandbox got its code, if there was one and it still stands; the caller ends it. */
  takeConnection(id: string): Client | undefined;
  /** Ends it and leaves nothing: processes, cgroups, mounts, folders. Unknown ids are no error. */
  stop(id: string): Promise<void>;
  /** All that exists, ended ones included: the truth after any restart of the caller. */
  list(): Promise<Sandbox[]>;
  /** Ends all that the tenant has, and removes what was made for it. Unknown ids are no error. */
  removeTenant(tenantId: string): Promise<void>;
}
