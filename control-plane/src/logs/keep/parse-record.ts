// One line of a sandbox becomes one record. The channel says which function it belongs to; only text, level and request id are taken from
// the line.
import { RECORD_MARK, sandboxRecordSchema, type LogChannel, type LogRecord } from "../../contract/logs.ts";
import { sanitise } from "./sanitise.ts";

export type Draft = Omit<LogRecord, "seq" | "at">;

export function parseRecord(line: string, source: "stdout" | "stderr", channel: LogChannel): Draft {
  const base = { source, version: channel.version, instance: channel.instance };
  if (line.startsWith(RECORD_MARK)) {
    const parsed = sandboxRecordSchema.safeParse(tryJson(line.slice(1)));
    if (parsed.success) {
      const { l, r, m } = parsed.data;
      return { ...base, level: l ?? "info", message: sanitise(m), ...(r === undefined ? {} : { requestId: r }) };
    }
  }
  return { ...base, level: source === "stderr" ? "error" : "info", message: sanitise(line.replace(/\r$/, "")) };
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
