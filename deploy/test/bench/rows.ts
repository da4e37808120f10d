// One line of a benchmark's result, and how it becomes text.
export interface Row {
  what: string;
  value: number;
  unit: "ms" | "µs" | "MB" | "x" | "count";
  /** Best possible value, measured in the same run in the way that `floorWhat` names. */
  floor?: number;
  floorWhat?: string;
  /** The number to reach; with `atLeast`, more is better. */
  goal?: number;
  atLeast?: true;
  note?: string;
}

const met = ({ value, goal, atLeast }: Row): boolean | undefined =>
  goal === undefined ? undefined : atLeast === true ? value >= goal : value <= goal;

const number = (value: number, unit: Row["unit"]): string => {
  const text = Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
  return unit === "count" ? value.toFixed(0) : `${text} ${unit}`;
};

/** Prints a Markdown table that can be copied into BENCHMARKS.md unchanged. */
export function printTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    number(row.value, row.unit),
    row.floor === undefined ? "" : `${number(row.floor, row.unit)} (${row.floorWhat ?? ""})`,
    row.goal === undefined ? "" : `${row.atLeast === true ? "≥" : "≤"} ${number(row.goal, row.unit)}`,
    met(row) === undefined ? "" : met(row) === true ? "yes" : "no",
    row.note ?? "",
  ]);
  const head = ["what", "measured", "floor, same run", "goal", "met", "note"];
  const width = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, column) => cell.padEnd(width[column]!)).join(" | ")} |\n`;
  return line(head) + line(width.map((size) => "-".repeat(size))) + cells.map(line).join("") + "\n";
}

/** `share` of 1: 0.5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
