// One pool per database role. Every limit of SECURITY F9 is set on the connection, so that no query can forget it.
import pg from "pg";

export const DB_LIMITS = {
  poolMax: 10,
  statementMs: 10_000,
  /** Longest wait for a server that does not even report the statement timeout, because it hangs or the network to it is gone. */
  answerMs: 12_000,
  lockMs: 5_000,
  idleInTransactionMs: 15_000,
  connectMs: 5_000,
} as const;

/** `connection` is a URL or, for a Unix socket, `host` = folder; the role is in it. */
export function createPool(connection: string, onError: (error: Error) => void, max: number = DB_LIMITS.poolMax): pg.Pool {
  const pool = new pg.Pool({
    connectionString: connection,
    max,
    connectionTimeoutMillis: DB_LIMITS.connectMs,
    statement_timeout: DB_LIMITS.statementMs,
    query_timeout: DB_LIMITS.answerMs,
    lock_timeout: DB_LIMITS.lockMs,
    idle_in_transaction_session_timeout: DB_LIMITS.idleInTransactionMs,
    options: "-c search_path=fnctl",
  });
  pool.on("error", onError); // an idle connection broke; the next query makes a new one
  // When a borrowed connection breaks, the error would end the process without this listener. The query that runs on it, or the next one,
  // fails and reports it.
  pool.on("connect", (client) => void client.on("error", () => undefined));
  return pool;
}
