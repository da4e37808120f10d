// No function may have more than 50 lines of its own. Lines of functions inside it, blank lines and comments are not counted. The linter's
// own rule also counts the lines of inner functions, so it is not used. Part of `npm run check`.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseSync } from "@swc/core";

const ROOT = path.resolve(import.meta.dirname, "../../..");
export const MOST_LINES = 50;
/** Files without this limit: tests and tables of cases are long lists of simple steps. */
const FREE = /\.test\.ts$|\/testing\/|\/bench\/|protocol-cases\/|admission-mutations\.ts$/;
const FUNCTIONS = /^(Function(Declaration|Expression)|ArrowFunctionExpression|(Class|Private)Method|Constructor|MethodProperty)$/;

interface Found {
  name: string;
  start: number;
  end: number;
  inner: Found[];
}
interface Node {
  type?: string;
  span?: { start: number; end: number };
  function?: Node;
  identifier?: { value?: string };
  key?: { value?: string };
}

/** All functions of a syntax tree, each with the functions directly inside it. */
function functionsIn(tree: unknown, outer: Found | undefined, all: Found[]): Found[] {
  if (Array.isArray(tree)) for (const one of tree) functionsIn(one, outer, all);
  else if (typeof tree === "object" && tree !== null) {
    const node = tree as Node;
    const span = node.span ?? node.function?.span;
    let around = outer;
    if (FUNCTIONS.test(node.type ?? "") && span !== undefined) {
      around = { name: node.identifier?.value ?? node.key?.value ?? "a function", ...span, inner: [] };
      outer?.inner.push(around);
      all.push(around);
    }
    for (const [key, value] of Object.entries(tree)) if (key !== "span") functionsIn(value, around, all);
  }
  return all;
}

/** `line name: lines` of each function that is too long. */
export function tooLong(source: string): string[] {
  const bytes = Buffer.from(source);
  // swc counts positions in bytes from the start of everything this process has parsed, and the tree begins at its first token, so a `;` is
  // put first.
  const tree = parseSync(`;${source}`, { syntax: "typescript", target: "es2024" });
  const first = tree.span.start + 1;
  const lineOf = (position: number) =>
    bytes
      .subarray(0, position - first)
      .toString()
      .split("\n").length;
  const text = source.split("\n");
  const counts = (line: number) => !/^\s*($|\/\/|\/\*|\*)/.test(text[line - 1] ?? "");
  return functionsIn(tree.body, undefined, []).flatMap(({ name, start, end, inner }) => {
    const lines = new Set(Array.from({ length: lineOf(end) - lineOf(start) + 1 }, (_, at) => lineOf(start) + at));
    for (const one of inner) for (let line = lineOf(one.start) + 1; line < lineOf(one.end); line++) lines.delete(line);
    const own = [...lines].filter(counts).length;
    return own > MOST_LINES ? [`${lineOf(start)} ${name}: ${own}`] : [];
  });
}

if (process.argv[1] === import.meta.filename) {
  const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "*.ts"], { cwd: ROOT, encoding: "utf8" }).split("\n");
  for (const file of files.filter((name) => name !== "" && !FREE.test(name)))
    for (const one of tooLong(readFileSync(path.join(ROOT, file), "utf8"))) {
      process.stderr.write(`${file}:${one} lines, at most ${MOST_LINES}\n`);
      process.exitCode = 1;
    }
}
