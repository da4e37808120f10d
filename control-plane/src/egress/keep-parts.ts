// A report of an egress proxy is of many tenants: each part is kept, or fails, alone.
import { PlatformError } from "../contract/errors.ts";

/**
 * Throws UNAVAILABLE when the database is away, so that the report is sent again. What fails otherwise would fail again: it is lost, it is that
 * tenant's part alone, and whoever sent it goes on.
 */
export async function keepParts<Item extends { tenantId: string }>(
  items: readonly Item[],
  keep: (tenantId: string, own: readonly Item[]) => Promise<void>,
  onError: (error: unknown) => void,
): Promise<void> {
  const parts = Map.groupBy(items, ({ tenantId }) => tenantId);
  const done = await Promise.allSettled(Array.from(parts, ([tenantId, own]) => keep(tenantId, own)));
  const reasons = done.flatMap((part) => (part.status === "rejected" ? [part.reason as unknown] : []));
  const away = reasons.find((reason): reason is PlatformError => reason instanceof PlatformError && reason.code === "UNAVAILABLE");
  for (const reason of reasons) if (reason !== away) onError(reason);
  if (away !== undefined) throw away;
}
