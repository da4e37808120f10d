// Every query for a tenant's request runs here, with the app role, row-level security and the tenant set for one transaction only (SECURITY
// F2). A connection that had an error is closed, so the next borrower never sees a tenant (F7). Tenants take turns for connections, and no
// tenant gets all of them: its transactions may wait for one another, but other tenants' transactions do not wait behind them.
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { createFairQueue } from "../service/fair-queue.ts";
import { runChange, type Caller, type ChangeEvent, type OnChange, type Unit } from "./change.ts";
import { DB_LIMITS } from "./pools.ts";
import * as schema from "./schema.ts";
import { isRetryable, mapDatabaseError } from "./sqlstate.ts";
import { transaction, type TransactionOptions } from "./transaction.ts";

export type TenantTransaction = NodePgDatabase<typeof schema>;
export interface TenantDatabase {
  /** Runs `work` as `tenantId` in one transaction that cannot write (BEGIN READ ONLY); it is tried again like a change. */
  read<T>(tenantId: string, work: (tx: TenantTransaction) => Promise<T>): Promise<T>;
  /**
   * Runs `work` in one transaction as `caller.tenantId`, as a change with its notices. It is tried again when the database undid it or the
   * connection was lost before its COMMIT, so `work` must have no other effects and must not begin another transaction. A connection lost
   * at COMMIT is UNAVAILABLE: nobody knows whether the change was made.
   */
  change<T>(caller: Caller, event: ChangeEvent, work: (unit: Unit) => Promise<T>): Promise<T>;
}
export const ATTEMPTS = 3;

export function createTenantDatabase(pool: pg.Pool, onChange?: OnChange): TenantDatabase {
  const parallel = pool.options.max ?? DB_LIMITS.poolMax;
  const queue = createFairQueue({ parallel, perOwner: Math.ceil(parallel / 2) });

  async function run<T>(tenantId: string, begin: TransactionOptions["begin"], work: (tx: TenantTransaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const progress = { committing: false };
      const once = () => transaction(pool, { begin, tenantId, progress }, (client) => work(drizzle(client, { schema })));
      try {
        return await queue.run({ owner: tenantId, urgent: true }, once);
      } catch (error) {
        if (attempt === ATTEMPTS || !isRetryable(error, progress.committing)) throw mapDatabaseError(error);
      }
    }
  }
  return {
    read: (tenantId, work) => run(tenantId, "BEGIN READ ONLY", work),
    change: (caller, event, work) => run(caller.tenantId, "BEGIN", (tx) => runChange(tx, { ...caller, event }, onChange, work)),
  };
}
