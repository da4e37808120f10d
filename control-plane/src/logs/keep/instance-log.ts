// Turns the output of one instance into records of its function's log, for pipes and for the kubelet's files alike.
import type { LogChannel } from "../../contract/logs.ts";
import type { LineSink } from "./line-splitter.ts";
import { parseRecord, type Draft } from "./parse-record.ts";
import { createKeepLimit } from "./rate.ts";
import type { Segments } from "./segments.ts";

export interface InstanceLogInput {
  segments: Pick<Segments, "append">;
  /** The function that the lines belong to; undefined while it is not known, and then the lines are not kept. */
  channel(): LogChannel | undefined;
  /** When the line that is being read was written, milliseconds since the epoch; the rate limit uses this time. */
  now?(): number;
  /** True for a record that is in the log already and must not be kept again. */
  isKnown?(draft: Draft, at: number): boolean;
}

export function createInstanceLog({ segments, channel, now = Date.now, isKnown }: InstanceLogInput) {
  const rate = createKeepLimit(now);
  /** Adds a record of the platform about this instance. */
  function note(message: string): void {
    const owner = channel();
    if (owner === undefined) return;
    const { version, instance } = owner;
    segments.append(owner, { level: "warn", source: "platform", version, instance, message });
  }
  return {
    note,
    sink: (source: "stdout" | "stderr"): LineSink => ({
      admit: rate.admit,
      onLine(line) {
        const owner = channel();
        if (owner === undefined) return;
        const draft = parseRecord(line, source, owner);
        if (isKnown?.(draft, now()) !== true) segments.append(owner, draft, now());
      },
    }),
    /** Says how many lines were dropped since the last time, if any. */
    reportDropped(): void {
      const dropped = rate.takeDropped();
      if (dropped > 0) note(`${dropped} lines dropped: this instance writes more than is kept`);
    },
  };
}
