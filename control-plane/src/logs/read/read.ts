// One read of all nodes: the last records of a function by time, whichever nodes it ran on.
import { setTimeout as sleep } from "node:timers/promises";
import { LIMITS } from "../../contract/limits.ts";
import { logRecordSchema, type LogQuery, type LogRecord } from "../../contract/logs.ts";
import { splitLines } from "../../service/http/lines.ts";
import type { Opened } from "./collector-client.ts";
import type { Agent } from "./log-agents-client.ts";
import { createNewest } from "./newest.ts";

/** The answer does not wait longer than this for a node. */
const AGENT_MS = 10_000;
/** Longest record as JSON, where escapes multiply the bytes of a line. */
const RECORD_BYTES = LIMITS.logLineBytes * 8;

export type OpenOne = (agent: Agent, query: LogQuery, signal: AbortSignal) => Promise<Opened>;

/** Records from agents are checked like all input from another process; a line that is not a record is skipped. */
export async function* records(body: AsyncIterable<unknown>): AsyncGenerator<LogRecord> {
  for await (const line of splitLines(body, RECORD_BYTES)) {
    const record = logRecordSchema.safeParse(parse(line));
    if (record.success) yield record.data;
  }
}

export async function readAll(agents: Agent[], openOne: OpenOne, query: LogQuery, signal: AbortSignal): Promise<LogRecord[]> {
  const newest = createNewest({ records: query.limit, bytes: LIMITS.logBytesPerFunction });
  const missing = await Promise.all(
    agents.map(async (agent) => {
      const end = new AbortController();
      const both = AbortSignal.any([signal, end.signal]);
      const read = async () => {
        for await (const record of records((await openOne(agent, query, both)).body)) newest.add(record);
        return true;
      };
      const answered = await Promise.race([read().catch(() => false), sleep(AGENT_MS, false, { ref: false })]);
      end.abort();
      return answered ? [] : [agent.place.node];
    }),
  );
  return [...newest.all(), ...missing.flat().map((node) => absence(node))];
}

/** A record that tells the log's reader that lines of this node may be missing. */
export const absence = (node: string, at = Date.now()): LogRecord => ({
  at,
  seq: at * 1000,
  level: "warn",
  source: "platform",
  version: 0,
  instance: node,
  message: `the log agent of node ${node} does not answer; what the function printed there is missing here`,
});

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
