// Reads a function's log, wherever it is kept.
import type { Readable } from "node:stream";
import type { LogQuery } from "../../contract/logs.ts";

export interface LogReader {
  /** ND-JSON of log records, oldest first; endless with `follow`. Ends when `signal` fires. */
  read(tenantId: string, functionId: string, query: LogQuery, signal: AbortSignal): Promise<Readable>;
}
