// Reads `fnctl.yaml` and checks YAML, shape and units. It reports all mistakes at once, each with line and column.
import { functionConfigSchema, type FunctionConfig } from "@fnctl/control-plane/contract/config";
import { isMap, isScalar, LineCounter, parseDocument, type Document } from "yaml";
import type { z } from "zod";
import { CliError, type Mistake } from "../errors/cli-error.ts";
import { multipleSchema, SETTING_NAMES, singleSchema, type FileFunction } from "./file-schema.ts";
import { nearest } from "./nearest.ts";
import { positionOf, positionOfKey } from "./positions.ts";

export const PROJECT_FILE = "fnctl.yaml";

export interface ProjectFunction {
  name: string;
  /** Folder of the source, relative to the file's own. */
  folder: string;
  config: FunctionConfig;
}

/** How often one anchor may be expanded, aliases within aliases included. */
const MOST_ALIASES = 100;
/** Longest settings file; a longer file is surely something else. */
export const MOST_BYTES = 1024 * 1024;

/** `file` is how the user calls it, for messages. Throws INVALID_CONFIG with every mistake. */
export function parseProject(text: string, file: string): ProjectFunction[] {
  if (Buffer.byteLength(text) > MOST_BYTES)
    throw invalid(file, [{ file, line: 1, column: 1, message: `is longer than ${MOST_BYTES} bytes` }]);
  const lines = new LineCounter();
  const document = orInvalid(file, () => parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" }));
  const syntax = document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { file, line, column: col, message: error.message };
  });
  if (syntax.length > 0) throw invalid(file, syntax);
  keepEnvAsWritten(document);
  const value: unknown = orInvalid(file, () => document.toJS({ maxAliasCount: MOST_ALIASES }));
  if (!isMap(document.contents))
    throw invalid(file, [{ file, line: 1, column: 1, message: "expected settings such as `name: hello` and `runtime: node24`" }]);
  const several = document.has("functions");
  const parsed = several ? multipleSchema.safeParse(value) : singleSchema.safeParse(value);
  if (!parsed.success)
    throw invalid(
      file,
      parsed.error.issues.flatMap((issue) => mistakes(issue, document, lines, file)),
    );
  return several ? members(parsed.data as z.output<typeof multipleSchema>) : [single(parsed.data as z.output<typeof singleSchema>)];
}

/**
 * Turns errors that the YAML library throws instead of listing into INVALID_CONFIG: aliases without an anchor or expanded too often, and
 * nesting beyond its stack.
 */
function orInvalid<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const message = error instanceof RangeError ? "is nested too deep" : error instanceof ReferenceError ? error.message : undefined;
    if (message === undefined) throw error;
    throw invalid(file, [{ file, line: 1, column: 1, message }]);
  }
}

function invalid(file: string, found: readonly Mistake[]): CliError {
  const sorted = found.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const count = sorted.length === 1 ? "a mistake" : `${sorted.length} mistakes`;
  return new CliError("INVALID_CONFIG", `${file} has ${count}.`, { mistakes: sorted, next: `mend ${file}, then: fnctl deploy --dry-run` });
}

function mistakes(found: z.core.$ZodIssue, document: Document, lines: LineCounter, file: string): Mistake[] {
  return deepest(found).flatMap((issue) => mistakesOf(issue, document, lines, file));
}

/** Of a value that may have several shapes: the mistakes in the shape that it comes closest to, if that is one that it has. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union") return [issue];
  const shapes = issue.errors.filter(
    (errors) => errors.length > 0 && errors.every(({ path, code }) => path.length > 0 || code === "unrecognized_keys"),
  );
  const inside = shapes[0]?.map((error) => ({ ...error, path: [...issue.path, ...error.path] }));
  return inside === undefined ? [issue] : inside.flatMap(deepest);
}

function mistakesOf(issue: z.core.$ZodIssue, document: Document, lines: LineCounter, file: string): Mistake[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      file,
      ...positionOfKey(document, lines, [...issue.path, key]),
      message: unknownKey(key, issue.path),
    }));
  }
  if (issue.code === "invalid_key") {
    const message = `${String(issue.path.at(-1))}: ${issue.issues[0]?.message ?? issue.message}`;
    return [{ file, ...positionOfKey(document, lines, issue.path), message }];
  }
  const name = issue.path.findLast((part) => typeof part === "string");
  const missing = issue.path.length > 0 && document.getIn(issue.path) === undefined;
  const choice = issue.code === "invalid_value" ? `one of ${issue.values.join(", ")}` : undefined;
  const reason = missing
    ? `${String(name)} is missing${choice === undefined ? "" : `: ${choice}`}`
    : `${name === undefined ? "" : `${name}: `}${choice ?? issue.message}`;
  return [{ file, ...positionOf(document, lines, issue.path), message: reason }];
}

const INNER_NAMES: Readonly<Record<string, readonly string[]>> = {
  cors: ["origins", "methods", "headers", "credentials", "maxAgeSeconds"],
  egress: ["allow"],
  allow: ["host", "ports"],
};
function unknownKey(key: string, path: readonly PropertyKey[]): string {
  const owner = String(path.findLast((part) => typeof part === "string"));
  const near = nearest(key, INNER_NAMES[owner] ?? SETTING_NAMES);
  if (near === key) return `${key} does not belong here`;
  return `unknown setting ${key}${near === undefined ? "" : `; did you mean ${near}?`}`;
}

/** `VERSION: 1.10` means the text "1.10", not the number 1.1. */
function keepEnvAsWritten(document: Document): void {
  const functions = document.get("functions", true);
  const owners: unknown[] = isMap(functions) ? functions.items.map((pair) => pair.value) : [document.contents];
  for (const owner of owners) {
    const env = isMap(owner) ? owner.get("env", true) : undefined;
    for (const pair of isMap(env) ? env.items : []) {
      const scalar = pair.value;
      if (isScalar(scalar) && (typeof scalar.value === "number" || typeof scalar.value === "boolean"))
        scalar.value = scalar.source ?? String(scalar.value);
    }
  }
}

function single({ name, ...rest }: z.output<typeof singleSchema>): ProjectFunction {
  return { name, folder: ".", config: toConfig(rest) };
}

function members({ functions }: z.output<typeof multipleSchema>): ProjectFunction[] {
  return Object.entries(functions).map(([name, { path, ...rest }]) => ({ name, folder: path, config: toConfig(rest) }));
}

function toConfig({ memory, timeout, idleTimeout, ...same }: Omit<FileFunction, "path">): FunctionConfig {
  return functionConfigSchema.parse({ ...same, memoryMib: memory, timeoutMs: timeout, idleTimeoutMs: idleTimeout });
}
