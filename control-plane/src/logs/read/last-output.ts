// The last lines that an instance printed, for the error that says why it did not start.
import type { LogReader } from "./log-reader.ts";
import { LIMITS } from "../../contract/limits.ts";
import { logRecordSchema } from "../../contract/logs.ts";
import { splitLines } from "../../service/http/lines.ts";
import type { ImageRef } from "../../sandbox/driver.ts";

/** A client waits for the error, so a log that does not arrive in time is left out. */
const READ_MS = 2_000;
/** Newest records of the version that are searched; other instances of it may have written some of them. */
const READ_RECORDS = 200;
const LINES = 10;
const LINE_CHARACTERS = 400;

/** Returns the lines oldest first; rejects when the log cannot be read. */
export async function readLastOutput(reader: LogReader, image: ImageRef, instance: string): Promise<string[]> {
  const { tenantId, functionId, version } = image;
  const query = { limit: READ_RECORDS, version, follow: "false" } as const;
  const lines: string[] = [];
  const body = await reader.read(tenantId, functionId, query, AbortSignal.timeout(READ_MS));
  for await (const line of splitLines(body, LIMITS.logLineBytes * 8)) {
    const record = line === "" ? undefined : logRecordSchema.parse(JSON.parse(line));
    if (record === undefined || record.instance !== instance || record.source === "platform") continue;
    lines.push(record.message.slice(0, LINE_CHARACTERS));
    if (lines.length > LINES) lines.shift();
  }
  return lines;
}
