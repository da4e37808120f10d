// The result of a run as a Markdown table. Pure.
import os from "node:os";
import { FLOOR_MS, MOST_RATIO, type Verdict } from "./scenario.ts";

const ms = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

export function report(verdicts: readonly Verdict[], mode: string): string {
  const rows = verdicts.map(({ what, calm, control, storm, samples, processors, faults }) => [
    what,
    ms(calm),
    `${ms(control)} (${processors.toFixed(2)} processors burnt)`,
    ms(storm),
    (storm / Math.max(control, FLOOR_MS)).toFixed(2),
    String(samples),
    faults.length === 0 ? "yes" : `no: ${faults.join("; ")}`,
  ]);
  const head = ["what goes on beside it", "p99 calm", "p99 control", "p99 meanwhile", `ratio (at most ${MOST_RATIO})`, "samples", "holds"];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  return [
    `A neighbour's requests, milliseconds; ${mode} run of ${new Date().toISOString().slice(0, 10)}, ${os.availableParallelism()} processors. The control burns the same\n`,
    `processor time outside any sandbox, in a group of a tenant's weight, in the same run; ratios are against at least ${FLOOR_MS} ms.\n\n`,
    line(head),
    line(head.map(() => "---")),
    ...rows.map(line),
  ].join("");
}
