// Connects to the platform's own Postgres as superuser, for tests that must put a row into a state that takes too long to reach.
import pg from "pg";
import { runDir } from "./processes.ts";

export async function database<T>(work: (sql: pg.Client) => Promise<T>): Promise<T> {
  const sql = new pg.Client({
    connectionString: `postgresql://postgres@${encodeURIComponent(`${runDir}/pg`)}/fnctl`,
    options: "-c search_path=fnctl",
  });
  await sql.connect();
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}
