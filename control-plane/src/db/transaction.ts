// One transaction on a connection of its own. A connection that broke during it, or that did not answer, is closed instead of returned to
// the pool: its transaction might still be open for the next borrower.
import type pg from "pg";
import { isCut } from "./sqlstate.ts";

export interface TransactionOptions {
  begin: "BEGIN" | "BEGIN READ ONLY";
  /** The tenant whose rows this transaction sees. */
  tenantId?: string;
  /** `committing` is set before COMMIT is sent: from then on a lost connection may have made the change. */
  progress?: { committing: boolean };
}

export async function transaction<T>(pool: pg.Pool, options: TransactionOptions, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(options.begin);
    if (options.tenantId !== undefined) await client.query("SELECT set_config('app.tenant', $1, true)", [options.tenantId]);
    const value = await work(client);
    if (options.progress !== undefined) options.progress.committing = true;
    await client.query("COMMIT");
    return value;
  } catch (error) {
    if (isCut(error)) broken = asError(error);
    else await client.query("ROLLBACK").catch((again: unknown) => (broken = asError(again)));
    throw error;
  } finally {
    client.release(broken);
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
