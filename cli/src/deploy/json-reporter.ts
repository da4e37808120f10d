import type { CliIo } from "../cli-io.ts";
import type { Reporter } from "./reporter.ts";

export function createJsonReporter(io: CliIo): Reporter {
  let name = "";
  const emit = (event: Record<string, unknown>) =>
    void io.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), function: name, ...event })}\n`);
  return {
    begin: (given) => void (name = given),
    started: (phase) => emit({ type: "phase", phase, state: "started" }),
    done: (phase, ms, note) => emit({ type: "phase", phase, state: "done", ms: Math.round(ms), note }),
    skipped: (phase, note) => emit({ type: "phase", phase, state: "skipped", note }),
    failed: (phase) => emit({ type: "phase", phase, state: "failed" }),
    log: (stream, text) => emit({ type: "log", stream, text }),
    result: (result) => emit({ type: "result", ...result }),
    stop: () => undefined,
  };
}
