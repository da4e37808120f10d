// Handles tenants that now need a stronger isolation than their running instances have: such an instance finishes its requests and gets no
// new ones (SECURITY A2). Level-triggered: every look compares all instances with the isolation that their versions need now.
import { PlatformError } from "../../contract/errors.ts";
import type { InstanceTable, Instance } from "./instance-table.ts";
import type { VersionInfo, VersionInfoCache } from "../start/version-info.ts";

export interface IsolationChangeOptions {
  table: InstanceTable;
  versions: Pick<VersionInfoCache, "get">;
  /** Tells the holder of the lease to send no new requests to the instance. */
  recall(leaseId: string): void;
  /** Ends the instance now and tells its holder. */
  end(instance: Instance): void;
  stop(instance: Instance): Promise<void>;
  onError(error: unknown): void;
}

export function createIsolationChange({ table, versions, recall, end, stop, onError }: IsolationChangeOptions) {
  let looking: Promise<void> = Promise.resolve();
  let begun = 0;

  /** What the version needs; undefined when the version no longer exists. Throws when that could not be found out. */
  const needOf = ({ functionId, versionId }: Instance) =>
    versions.get(functionId, versionId).catch((error: unknown) => {
      if (error instanceof PlatformError && error.code === "NOT_FOUND") return undefined;
      onError(error);
      throw error;
    });

  async function judge(instance: Instance): Promise<void> {
    if (instance.unfit === true) return;
    const turn = ++begun;
    let info: VersionInfo | undefined;
    try {
      info = await needOf(instance);
    } catch {
      instance.unjudged = Math.max(turn, instance.unjudged ?? 0);
      return;
    }
    // A judgement that began before a failed one may have read the state from before the raise, so it does not clear the failed one's mark.
    if (instance.unjudged !== undefined && instance.unjudged <= turn) delete instance.unjudged;
    if (info === undefined || info.isolation === instance.sandbox.isolation || instance.state !== "ready") return;
    instance.unfit = true;
    if (instance.lease !== undefined) recall(instance.lease.leaseId);
    else if (instance.orphanUntil === undefined) void stop(instance);
  }

  const look = (): Promise<void> => {
    const before = looking;
    looking = (async () => {
      await before;
      await Promise.all(table.all().map(judge));
    })();
    return looking;
  };

  return {
    /** Judges one instance that is in the table already: what its tenant needs may have changed while it started. */
    judge,
    look,
    /** Resolves when every look that has begun is finished, and so has recalled all leases that it had to. */
    settled: (): Promise<void> => looking,
    /**
     * For a caller that must promise that all instances of a tenant are isolated well enough: judges the unjudged ones once more, and
     * throws UNAVAILABLE when one of them still cannot be judged. It stops nothing, so that an unreachable database does not end running
     * instances.
     */
    async requireJudged(tenantId: string): Promise<void> {
      const open = () =>
        table.all().filter((instance) => instance.tenantId === tenantId && instance.unjudged !== undefined && instance.state === "ready");
      await looking;
      await Promise.all(open().map(judge));
      if (open().length === 0) return;
      throw new PlatformError("UNAVAILABLE", "The risk is raised, but not every instance of the tenant could be looked at.", {
        hint: "Send the same request again: its success means that none of them gets a new request.",
      });
    },
    /** A holder that has not confirmed the recall may still send requests, so its unfit instances end now, with the requests in them. */
    endUnconfirmed(serves: (holder: string) => boolean): void {
      for (const instance of table.all())
        if (instance.unfit === true && instance.state === "ready" && (instance.lease === undefined || !serves(instance.lease.holder)))
          end(instance);
    },
  };
}
export type IsolationChange = ReturnType<typeof createIsolationChange>;
