// A tenant that must be isolated better than its instances are: each of them serves what it serves and gets nothing new (SECURITY A2).
// Level-triggered: every look compares all instances with what their versions need now.
import type { InstanceTable, Managed } from "./managed.ts";
import type { VersionInfoCache } from "./version-info.ts";

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

  async function judge(managed: Managed): Promise<void> {
    if (managed.unfit === true) return;
    const info = await versions.get(managed.functionId, managed.versionId).catch(onError);
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
    /** A holder that has not confirmed the recall may still send requests: what it holds ends now, with the requests in it. */
    endUnconfirmed(serves: (holder: string) => boolean): void {
      for (const managed of table.all())
        if (managed.unfit === true && managed.state === "ready" && (managed.lease === undefined || !serves(managed.lease.holder)))
          end(managed);
    },
  };
}
export type IsolationChange = ReturnType<typeof createIsolationChange>;
