// A tenant that must be isolated better than its instances are: each of them serves what it serves and gets nothing new (SECURITY A2).
// Level-triggered: every look compares all instances with what their versions need now.
import { PlatformError } from "../../contract/errors.ts";
import type { InstanceTable, Managed } from "./managed.ts";
import type { VersionInfo, VersionInfoCache } from "../start/version-info.ts";

export interface IsolationChangeOptions {
  table: InstanceTable;
  versions: Pick<VersionInfoCache, "get">;
  /** Tells the holder to send nothing more there. */
  recall(leaseId: string): void;
  /** Ends it now; whoever holds it hears of that. */
  end(managed: Managed): void;
  stop(managed: Managed): Promise<void>;
  onError(error: unknown): void;
}

export function createIsolationChange({ table, versions, recall, end, stop, onError }: IsolationChangeOptions) {
  let looking: Promise<void> = Promise.resolve();
  let begun = 0;

  /** What the version needs; undefined when there is no such version any more. Throws when nobody could say. */
  const needOf = ({ functionId, versionId }: Managed) =>
    versions.get(functionId, versionId).catch((error: unknown) => {
      if (error instanceof PlatformError && error.code === "NOT_FOUND") return undefined;
      onError(error);
      throw error;
    });

  async function judge(managed: Managed): Promise<void> {
    if (managed.unfit === true) return;
    const turn = ++begun;
    let info: VersionInfo | undefined;
    try {
      info = await needOf(managed);
    } catch {
      managed.unjudged = Math.max(turn, managed.unjudged ?? 0);
      return;
    }
    // A judgement that began before one that failed may have read what was true before the raise: it does not settle the later one.
    if (managed.unjudged !== undefined && managed.unjudged <= turn) delete managed.unjudged;
    if (info === undefined || info.isolation === managed.instance.isolation || managed.state !== "ready") return;
    managed.unfit = true;
    if (managed.lease !== undefined) recall(managed.lease.leaseId);
    else if (managed.orphanUntil === undefined) void stop(managed);
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
        table.all().filter((managed) => managed.tenantId === tenantId && managed.unjudged !== undefined && managed.state === "ready");
      await looking;
      await Promise.all(open().map(judge));
      if (open().length === 0) return;
      throw new PlatformError("UNAVAILABLE", "The risk is raised, but not every instance of the tenant could be looked at.", {
        hint: "Send the same request again: its success means that none of them gets a new request.",
      });
    },
    /** A holder that has not confirmed the recall may still send requests: what it holds ends now, with the requests in it. */
    endUnconfirmed(serves: (holder: string) => boolean): void {
      for (const managed of table.all())
        if (managed.unfit === true && managed.state === "ready" && (managed.lease === undefined || !serves(managed.lease.holder)))
          end(managed);
    },
  };
}
export type IsolationChange = ReturnType<typeof createIsolationChange>;
