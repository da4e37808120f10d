// From what one instance writes to records in its function's log: the same for pipes and for the kubelet's files.
import type { LogChannel } from "../../contract/logs.ts";
import type { LineSink } from "./line-splitter.ts";
import { parseRecord, type Draft } from "./parse-record.ts";
import { createRate } from "./rate.ts";
import type { Segments } from "./segments.ts";

export interface InstanceLogInput {
  segments: Pick<Segments, "append">;
  /** Whose lines these are, as far as it is known; until then they belong to nobody. */
  channel(): LogChannel | undefined;
  /** When the line that is being read was written, milliseconds since the epoch: what the rate goes by. */
  now?(): number;
  /** A record that is not kept all the same: it is there already. */
  isKnown?(draft: Draft, at: number): boolean;
}

export function createInstanceLog({ segments, channel, now = Date.now, isKnown }: InstanceLogInput) {
  const rate = createRate(now);
  /** What the platform has to say about this instance. */
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
