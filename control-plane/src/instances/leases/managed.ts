// The control plane's picture of running instances: which version each holds for life, and who holds its lease.
import type { Instance } from "../../sandbox/driver.ts";
import type { VersionInfo } from "../start/version-info.ts";

export interface HeldLease {
  leaseId: string;
  holder: string;
  /** Milliseconds since the epoch; after this and a grace the instance is stopped. */
  expiresAt: number;
}
export interface Managed {
  instance: Instance;
  tenantId: string;
  functionId: string;
  versionId: string;
  version: number;
  slots: number;
  idleTimeoutMs: number;
  inUse: number;
  /** It serves, or could, since then; a sandbox of the pool may be much older. */
  since: number;
  /** `stuck`: its stop failed; it is tried again. */
  state: "ready" | "stopping" | "stuck";
  lease?: HeldLease;
  /** Free (no lease) since then. */
  freeSince: number;
  /** Found running after a restart of the control plane: its holder has until then to say so. */
  orphanUntil?: number;
  /** Isolated less than its tenant must be by now: it gets no new lease, and ends when its holder gives it back. */
  unfit?: true;
  /** Not known to be fit since this judgement, because the database did not answer it (0: never judged): it gets no new lease meanwhile. */
  unjudged?: number;
}

export interface Use {
  instances: number;
  memoryMib: number;
}

export function freshlyManaged(instance: Instance, { image, concurrency, idleTimeoutMs }: VersionInfo): Managed {
  const { tenantId, functionId, versionId, version } = image;
  const now = Date.now();
  const fresh = { inUse: 0, state: "ready", freeSince: now, since: now } as const;
  return { instance, tenantId, functionId, versionId, version, slots: concurrency, idleTimeoutMs, ...fresh };
}

export function createInstanceTable() {
  const byId = new Map<string, Managed>();
  const byVersion = new Map<string, Set<Managed>>();
  const byLease = new Map<string, Managed>();
  const byTenant = new Map<string, Set<Managed>>();
  return {
    add(managed: Managed): void {
      const theirs = byTenant.get(managed.tenantId) ?? new Set();
      byTenant.set(managed.tenantId, theirs.add(managed));
      byId.set(managed.instance.id, managed);
      const set = byVersion.get(managed.versionId) ?? new Set();
      byVersion.set(managed.versionId, set.add(managed));
    },
    remove(managed: Managed): void {
      byId.delete(managed.instance.id);
      const theirs = byTenant.get(managed.tenantId);
      theirs?.delete(managed);
      if (theirs?.size === 0) byTenant.delete(managed.tenantId);
      if (managed.lease !== undefined) byLease.delete(managed.lease.leaseId);
      const set = byVersion.get(managed.versionId);
      set?.delete(managed);
      if (set?.size === 0) byVersion.delete(managed.versionId);
    },
    lease(managed: Managed, lease: HeldLease | undefined): void {
      if (managed.lease !== undefined) byLease.delete(managed.lease.leaseId);
      delete managed.lease;
      delete managed.orphanUntil;
      managed.freeSince = Date.now();
      if (lease === undefined) {
        managed.inUse = 0; // whoever gives it back has no request in it
        return;
      }
      managed.lease = lease;
      byLease.set(lease.leaseId, managed);
    },
    get: (id: string) => byId.get(id),
    ofLease: (leaseId: string) => byLease.get(leaseId),
    /** Those of a version that may serve; what is being stopped or must not get anything new no longer counts. */
    ofVersion: (versionId: string): Managed[] =>
      [...(byVersion.get(versionId) ?? [])].filter(({ state, unfit }) => state === "ready" && unfit === undefined),
    ofFunction: (functionId: string): Managed[] => [...byId.values()].filter((managed) => managed.functionId === functionId),
    ofTenant: (tenantId: string): Managed[] => [...(byTenant.get(tenantId) ?? [])],
    /** What a tenant's instances may use, those included that are being stopped: they are still there. */
    useOf(tenantId: string): Use {
      const theirs = byTenant.get(tenantId) ?? [];
      let memoryMib = 0;
      for (const { instance } of theirs) memoryMib += instance.memoryMib;
      return { instances: theirs instanceof Set ? theirs.size : 0, memoryMib };
    },
    all: (): Managed[] => [...byId.values()],
    size: () => byId.size,
  };
}
export type InstanceTable = ReturnType<typeof createInstanceTable>;
