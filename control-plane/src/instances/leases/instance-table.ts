// The control plane's picture of running instances: which version each holds for life, and who holds its lease.
import type { Sandbox } from "../../sandbox/driver.ts";
import type { VersionInfo } from "../start/version-info.ts";

export interface HeldLease {
  leaseId: string;
  holder: string;
  /** Milliseconds since the epoch; after this and a grace the instance is stopped. */
  expiresAt: number;
}
/** A sandbox that became a version's, once and for life. */
export interface Instance {
  sandbox: Sandbox;
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
        instance.inUse = 0; // whoever gives it back has no request in it
        return;
      }
      instance.lease = lease;
      byLease.set(lease.leaseId, instance);
    },
    get: (id: string) => byId.get(id),
    ofLease: (leaseId: string) => byLease.get(leaseId),
    /** Those of a version that may serve; what is being stopped or must not get anything new no longer counts. */
    ofVersion: (versionId: string): Instance[] =>
      [...(byVersion.get(versionId) ?? [])].filter(({ state, unfit }) => state === "ready" && unfit === undefined),
    ofFunction: (functionId: string): Instance[] => [...byId.values()].filter((instance) => instance.functionId === functionId),
    ofTenant: (tenantId: string): Instance[] => [...(byTenant.get(tenantId) ?? [])],
    /** What a tenant's instances may use, those included that are being stopped: they are still there. */
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
