// Human units of `fnctl.yaml`. A bare number has a meaning only where it cannot be misread (memory: MB).
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const MEMORY = /^(\d+)\s*(?:(M|MB|MiB)|(G|GB|GiB))$/i;

export const DURATION_PATTERN = DURATION.source;
export const MEMORY_PATTERN = "^\\d+ ?([mM]|[gG])([iI]?[bB])?$";

/** Milliseconds, whole; undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text.trim());
  if (match === null) return undefined;
  return Math.round(Number(match[1]) * MS[match[2] as keyof typeof MS]);
}

/** MiB. `MB` and `MiB` mean the same here, as with every function platform. */
export function parseMemory(value: string | number): number | undefined {
  if (typeof value === "number") return Number.isInteger(value) ? value : undefined;
  if (/^\d+$/.test(value)) return Number(value);
  const match = MEMORY.exec(value.trim());
  if (match === null) return undefined;
  return Number(match[1]) * (match[3] === undefined ? 1 : 1024);
}
