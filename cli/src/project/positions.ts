// Finds line and column in the YAML of a path in the data.
import { isMap, isNode, isPair, isScalar, type Document, type LineCounter, type Pair } from "yaml";

export interface Position {
  line: number;
  column: number;
}
type Path = readonly PropertyKey[];

function pairAt(document: Document, path: Path): Pair | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const key = String(path.at(-1));
  return isMap(parent) ? parent.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key) : undefined;
}

/** Position of the value at `path`; of the nearest value around it when it is missing. */
export function positionOf(document: Document, lines: LineCounter, path: Path): Position {
  for (let depth = path.length; depth > 0; depth -= 1) {
    const value = document.getIn(path.slice(0, depth), true);
    if (isNode(value) && value.range) return at(lines, value.range[0]);
    const pair = pairAt(document, path.slice(0, depth));
    if (pair !== undefined) return keyPosition(pair, lines);
  }
  return at(lines, document.contents?.range?.[0] ?? 0);
}

/** Position of the key at `path`, for a key that is not allowed. */
export function positionOfKey(document: Document, lines: LineCounter, path: Path): Position {
  const pair = pairAt(document, path);
  return pair === undefined ? positionOf(document, lines, path.slice(0, -1)) : keyPosition(pair, lines);
}

function keyPosition(pair: Pair, lines: LineCounter): Position {
  return at(lines, isPair(pair) && isNode(pair.key) && pair.key.range ? pair.key.range[0] : 0);
}

function at(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}
