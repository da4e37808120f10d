// One transaction on a connection of its own. A connection that broke in it is thrown away, and so is one whose answer did not come: what
// was begun on it might still be open for its next borrower.
import type pg from "pg";
import { isCut } from "./sqlstate.ts";

export interface TransactionOptions {
  begin: "BEGIN" | "BEGIN READ ONLY";
  /** For this transaction alone: whose rows are seen. */
  tenantId?: string;
  /** Once it commits, a connection that is lost may have made the change. */
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
