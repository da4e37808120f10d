// The control plane's picture of running instances: which version each holds for life, and who holds its lease.
import type { Instance } from "../sandbox/driver.ts";

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

export function createInstanceTable() {
  const byId = new Map<string, Managed>();
  const byVersion = new Map<string, Set<Managed>>();
  const byLease = new Map<string, Managed>();
  return {
    add(managed: Managed): void {
      byId.set(managed.instance.id, managed);
      const set = byVersion.get(managed.versionId) ?? new Set();
      byVersion.set(managed.versionId, set.add(managed));
    },
    remove(managed: Managed): void {
      byId.delete(managed.instance.id);
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
      if (lease === undefined) return;
      managed.lease = lease;
      byLease.set(lease.leaseId, managed);
    },
    get: (id: string) => byId.get(id),
    ofLease: (leaseId: string) => byLease.get(leaseId),
    /** Those of a version that may serve; what is being stopped or must not get anything new no longer counts. */
    ofVersion: (versionId: string): Managed[] =>
      [...(byVersion.get(versionId) ?? [])].filter(({ state, unfit }) => state === "ready" && unfit === undefined),
    ofFunction: (functionId: string): Managed[] => [...byId.values()].filter((managed) => managed.functionId === functionId),
    all: (): Managed[] => [...byId.values()],
    size: () => byId.size,
  };
}
export type InstanceTable = ReturnType<typeof createInstanceTable>;
