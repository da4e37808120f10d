// The length rule counts a function's own lines; tested just below and just above its limit.
import { expect, test } from "vitest";
import { MOST_LINES, tooLong } from "../src/function-length.ts";

const lines = (count: number) => Array.from({ length: count }, (_, at) => `  call(${at});`).join("\n");

test("up to the limit a function is not too long, and above it is", () => {
  const of = (count: number) => tooLong(`// ä comment\nfunction long() {\n${lines(count)}\n}\n`);
  expect(of(MOST_LINES - 2)).toEqual([]);
  expect(of(MOST_LINES - 1)).toEqual([`2 long: ${MOST_LINES + 1}`]);
});
test("comments, blank lines and the functions in it do not count for it", () => {
  const inner = `const inner = () => {\n${lines(MOST_LINES - 2)}\n};`;
  const source = `export function outer() {\n${inner}\n\n// said\n${lines(MOST_LINES - 4)}\n}\n`;
  expect(tooLong(source)).toEqual([]);
  expect(tooLong(source.replace("// said", "call();"))).toEqual([`1 outer: ${MOST_LINES + 1}`]);
});
