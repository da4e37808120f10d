// Turns the result of a run into a Markdown table. Has no side effects.
import os from "node:os";
import type { Processors } from "./burn.ts";
import { FLOOR_MS, MOST_RATIO, type Mode, type Verdict } from "./scenario.ts";

const ms = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

const parts = ({ sandboxes, services, load }: Processors): string => [sandboxes, services, load].map((one) => one.toFixed(2)).join(" + ");

function holds(faults: readonly string[], slow: string | undefined, mode: Mode): string {
  if (faults.length > 0) return `no: ${faults.join("; ")}`;
  if (slow === undefined) return "yes";
  return mode === "full" ? `no: ${slow}` : `times are judged in full: ${slow}`;
}

export function report(verdicts: readonly Verdict[], mode: Mode): string {
  const rows = verdicts.map(({ what, calm, control, storm, samples, processors, burnt, faults, slow }) => [
    what,
    ms(calm),
    ms(control),
    parts(processors),
    parts(burnt),
    ms(storm),
    (storm / Math.max(calm, FLOOR_MS)).toFixed(1),
    (storm / Math.max(control, FLOOR_MS)).toFixed(2),
    String(samples),
    holds(faults, slow, mode),
  ]);
  const head = [
    "what goes on beside it",
    "p99 calm",
    "p99 control",
    "processors",
    "burnt by the control",
    "p99 meanwhile",
    "times calm's",
    `ratio (at most ${MOST_RATIO})`,
    "samples",
    "holds",
  ];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  return [
    `A neighbour's requests, milliseconds; ${mode} run of ${new Date().toISOString().slice(0, 10)}, ${os.availableParallelism()} processors. Processors: what goes on took so\n`,
    `many in sandboxes, in services, and for its own clients. The control burns as much by plain processes in the same run: the first in a\n`,
    `group of a tenant's weight, the others beside it. Ratios are against at least ${FLOOR_MS} ms.\n\n`,
    line(head),
    line(head.map(() => "---")),
    ...rows.map(line),
  ].join("");
}
