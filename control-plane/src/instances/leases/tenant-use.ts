// Compares the instances that a tenant runs or starts with its limits. The count is exact, because the owner starts all of them.
import { PlatformError } from "../../contract/errors.ts";
import type { TenantCaps } from "../../contract/tenant-caps.ts";
import type { InstanceTable, Use } from "./instance-table.ts";
import type { VersionInfo } from "../start/version-info.ts";

export type InstanceCaps = Pick<TenantCaps, "instances" | "memoryMib">;

export function createTenantUse(table: Pick<InstanceTable, "useOf">, caps: InstanceCaps) {
  const begun = new Map<string, Use>();
  const add = (tenantId: string, sign: 1 | -1, memoryMib: number) => {
    const { instances, memoryMib: mib } = begun.get(tenantId) ?? { instances: 0, memoryMib: 0 };
    const left = { instances: instances + sign, memoryMib: mib + sign * memoryMib };
    if (left.instances === 0) begun.delete(tenantId);
    else begun.set(tenantId, left);
  };
  return {
    /**
     * Why the tenant may not have one more instance now; undefined when it may. The `trial` of a new version may go one above the cap:
     * otherwise a tenant whose `min` keeps it at the cap could deploy nothing, not even a version with a lower `min`.
     */
    refusal({ image: { tenantId }, memoryMib }: Pick<VersionInfo, "image" | "memoryMib">, trial = false): PlatformError | undefined {
      const most = trial ? { instances: caps.instances + 1, memoryMib: caps.memoryMib + memoryMib } : caps;
      const [held, starting] = [table.useOf(tenantId), begun.get(tenantId)];
      const instances = held.instances + (starting?.instances ?? 0);
      const mib = held.memoryMib + (starting?.memoryMib ?? 0) + memoryMib;
      if (instances < most.instances && mib <= most.memoryMib) return undefined;
      const what = instances < most.instances ? `${caps.memoryMib} MiB` : `${caps.instances} instances`;
      return new PlatformError("QUOTA_EXCEEDED", `A tenant's functions may use ${what} at a time, and they do.`, {
        hint: "Lower `min` or `max`, or raise `concurrency`, of the tenant's functions; the operator can raise the quota.",
      });
    },
    /** Counts an instance that is being started; call the returned function when the start has ended. */
    begin({ image: { tenantId }, memoryMib }: Pick<VersionInfo, "image" | "memoryMib">): () => void {
      add(tenantId, 1, memoryMib);
      return () => add(tenantId, -1, memoryMib);
    },
  };
}
export type TenantUse = ReturnType<typeof createTenantUse>;
