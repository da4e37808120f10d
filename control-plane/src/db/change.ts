// Every write goes through here: a change's rows, the notices about it and the record of who made it are one transaction.
import { notify, type Notice } from "./notify.ts";
import type { TenantTransaction } from "./tenant-database.ts";

/** Who makes a change: the holder of a token, or the platform itself. */
export type Actor = { kind: "token"; tokenId: string } | { kind: "platform" };
export const PLATFORM: Actor = { kind: "platform" };
/** The tenant a change is made for, and who makes it. */
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
  | "egress.ceiling"
  | "egress.rule"
  | "egress.records"
  | "egress.usage"
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
  /** Sends a notice, which is delivered only after the commit and never after a rollback (PostgreSQL manual, NOTIFY). */
  tell(notice: Notice): void;
  /** Says that `work` changed nothing, so that `onChange` is not called. Returns `value`. */
  unchanged<T>(value: T): T;
}
/** Runs in the transaction of each change, after its rows are written; an audit log can be written here. */
export type OnChange = (tx: TenantTransaction, change: Change) => Promise<void>;

/** Runs `work` as a change inside `tx`, which must be a transaction for this change alone. */
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
