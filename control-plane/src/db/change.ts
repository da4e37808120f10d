// The one way to write: a change's rows, the notices for whoever must hear of it, and who did it, in one transaction or not at all.
import { notify, type Notice } from "./notify.ts";
import type { TenantTransaction } from "./tenant-database.ts";

/** Who changes something: somebody with a token, or the platform by itself. */
export type Actor = { kind: "token"; tokenId: string } | { kind: "platform" };
export const PLATFORM: Actor = { kind: "platform" };
/** On whose behalf, and who. */
export interface Caller {
  tenantId: string;
  actor: Actor;
}
export type ChangeEvent =
  | "tenant.create"
  | "tenant.raise"
  | "token.create"
  | "token.revoke"
  | "source.upload"
  | "source.use"
  | "source.sweep"
  | "version.create"
  | "function.live"
  | "function.remove"
  | "function.failure"
  | "build.requeue"
  | "build.progress"
  | "build.image"
  | "build.end";
export interface Change extends Caller {
  event: ChangeEvent;
}
export interface Unit {
  tx: TenantTransaction;
  /** Heard only after the commit, and never for a rollback (PostgreSQL manual, NOTIFY). */
  tell(notice: Notice): void;
  /** Nothing came of it: for whoever writes down what was changed. Gives `value` back. */
  unchanged<T>(value: T): T;
}
/** Runs in the transaction of each change, after its rows: where an audit log is written. */
export type OnChange = (tx: TenantTransaction, change: Change) => Promise<void>;

/** Inside a transaction that is the change's own. */
export async function runChange<T>(
  tx: TenantTransaction,
  change: Change,
  onChange: OnChange | undefined,
  work: (unit: Unit) => Promise<T>,
): Promise<T> {
  const notices: Notice[] = [];
  let changed = true;
  const unchanged = <U>(same: U): U => {
    changed = false;
    return same;
  };
  const value = await work({ tx, tell: (notice) => void notices.push(notice), unchanged });
  for (const notice of notices) await notify(tx, notice);
  if (changed) await onChange?.(tx, change);
  return value;
}
