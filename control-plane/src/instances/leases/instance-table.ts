// The control plane's table of running instances: which version each belongs to for life, and which gateway holds its lease.
import type { Sandbox } from "../../sandbox/driver.ts";
import type { VersionInfo } from "../start/version-info.ts";

export interface HeldLease {
  leaseId: string;
  holder: string;
  /** Milliseconds since the epoch; after this and a grace the instance is stopped. */
  expiresAt: number;
  /** When it was last asked back. */
  recalledAt?: number;
}
/** A sandbox into which a version's code was loaded; it belongs to that version for life. */
export interface Instance {
  sandbox: Sandbox;
  tenantId: string;
  functionId: string;
  versionId: string;
  version: number;
  slots: number;
  idleTimeoutMs: number;
  inUse: number;
  /** Time since which the instance could serve; its sandbox may have waited in the pool much longer. */
  since: number;
  /** `stuck`: its stop failed and will be retried. */
  state: "ready" | "stopping" | "stuck";
  lease?: HeldLease;
  /** Time since which it has no lease. */
  freeSince: number;
  /** Set on an instance that was adopted after a restart of the control plane: until this time its holder may claim it by a renewal. */
  orphanUntil?: number;
  /** Handlers may still run in it whose requests nobody holds: until it says that none does, it gets no lease. */
  unsettled?: true;
  /** Its isolation is weaker than its tenant now requires: it gets no new lease, and ends when its holder gives it back. */
  unfit?: true;
  /**
   * Number of the last check of its isolation that failed because the database did not answer (0: never checked); until a check succeeds it
   * gets no new lease.
   */
  unjudged?: number;
}

export interface Use {
  instances: number;
  memoryMib: number;
}

export function freshInstance(sandbox: Sandbox, { image, concurrency, idleTimeoutMs }: VersionInfo): Instance {
  const { tenantId, functionId, versionId, version } = image;
  const now = Date.now();
  const fresh = { inUse: 0, state: "ready", freeSince: now, since: now } as const;
  return { sandbox, tenantId, functionId, versionId, version, slots: concurrency, idleTimeoutMs, ...fresh };
}

export function createInstanceTable() {
  const byId = new Map<string, Instance>();
  const byVersion = new Map<string, Set<Instance>>();
  const byLease = new Map<string, Instance>();
  const byTenant = new Map<string, Set<Instance>>();
  return {
    add(instance: Instance): void {
      const theirs = byTenant.get(instance.tenantId) ?? new Set();
      byTenant.set(instance.tenantId, theirs.add(instance));
      byId.set(instance.sandbox.id, instance);
      const set = byVersion.get(instance.versionId) ?? new Set();
      byVersion.set(instance.versionId, set.add(instance));
    },
    remove(instance: Instance): void {
      byId.delete(instance.sandbox.id);
      const theirs = byTenant.get(instance.tenantId);
      theirs?.delete(instance);
      if (theirs?.size === 0) byTenant.delete(instance.tenantId);
      if (instance.lease !== undefined) byLease.delete(instance.lease.leaseId);
      const set = byVersion.get(instance.versionId);
      set?.delete(instance);
      if (set?.size === 0) byVersion.delete(instance.versionId);
    },
    lease(instance: Instance, lease: HeldLease | undefined): void {
      if (instance.lease !== undefined) byLease.delete(instance.lease.leaseId);
      delete instance.lease;
      delete instance.orphanUntil;
      instance.freeSince = Date.now();
      if (lease === undefined) {
        instance.inUse = 0; // a gateway gives an instance back only when it has no request in it
        return;
      }
      instance.lease = lease;
      byLease.set(lease.leaseId, instance);
    },
    get: (id: string) => byId.get(id),
    ofLease: (leaseId: string) => byLease.get(leaseId),
    /** The instances of a version that may get requests, so without those that are being stopped or are `unfit`. */
    ofVersion: (versionId: string): Instance[] =>
      [...(byVersion.get(versionId) ?? [])].filter(({ state, unfit }) => state === "ready" && unfit === undefined),
    ofFunction: (functionId: string): Instance[] => [...byId.values()].filter((instance) => instance.functionId === functionId),
    ofTenant: (tenantId: string): Instance[] => [...(byTenant.get(tenantId) ?? [])],
    /** What a tenant's instances may use, including those that are being stopped, because they still exist. */
    useOf(tenantId: string): Use {
      const theirs = byTenant.get(tenantId) ?? [];
      let memoryMib = 0;
      for (const { sandbox } of theirs) memoryMib += sandbox.memoryMib;
      return { instances: theirs instanceof Set ? theirs.size : 0, memoryMib };
    },
    all: (): Instance[] => [...byId.values()],
    size: () => byId.size,
  };
}
export type InstanceTable = ReturnType<typeof createInstanceTable>;
