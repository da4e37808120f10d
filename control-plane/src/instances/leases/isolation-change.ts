// A tenant that must be isolated better than its instances are: each of them serves what it serves and gets nothing new (SECURITY A2).
// Level-triggered: every look compares all instances with what their versions need now.
import { PlatformError } from "../../contract/errors.ts";
import type { InstanceTable, Instance } from "./instance-table.ts";
import type { VersionInfo, VersionInfoCache } from "../start/version-info.ts";

export interface IsolationChangeOptions {
  table: InstanceTable;
  versions: Pick<VersionInfoCache, "get">;
  /** Tells the holder to send nothing more there. */
  recall(leaseId: string): void;
  /** Ends it now; whoever holds it hears of that. */
  end(instance: Instance): void;
  stop(instance: Instance): Promise<void>;
  onError(error: unknown): void;
}

export function createIsolationChange({ table, versions, recall, end, stop, onError }: IsolationChangeOptions) {
  let looking: Promise<void> = Promise.resolve();
  let begun = 0;

  /** What the version needs; undefined when there is no such version any more. Throws when nobody could say. */
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
    // A judgement that began before one that failed may have read what was true before the raise: it does not settle the later one.
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
    /** One alone, which is in the table: what its tenant needs may have changed while it started. */
    judge,
    look,
    /** Resolves when every look that was begun has recalled what it had to. */
    settled: (): Promise<void> => looking,
    /**
     * For who promises that a tenant's instances are as they must be: looks once more at those of which nobody could say what they need.
     * Throws UNAVAILABLE when that is still so of one. Others are not asked for this: a database that is away drains nothing.
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
    /** A holder that has not confirmed the recall may still send requests: what it holds ends now, with the requests in it. */
    endUnconfirmed(serves: (holder: string) => boolean): void {
      for (const instance of table.all())
        if (instance.unfit === true && instance.state === "ready" && (instance.lease === undefined || !serves(instance.lease.holder)))
          end(instance);
    },
  };
}
export type IsolationChange = ReturnType<typeof createIsolationChange>;
