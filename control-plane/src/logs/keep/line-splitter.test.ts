import { expect, test } from "vitest";
import { LIMITS } from "../../contract/limits.ts";
import { createLineSplitter } from "./line-splitter.ts";

test("a line that comes byte by byte is one line, and longer than is kept it is cut", () => {
  const lines: string[] = [];
  const splitter = createLineSplitter({ admit: () => true, onLine: (line) => lines.push(line) });
  const text = Array.from({ length: 1_000 }, (_, at) => String.fromCodePoint(97 + (at % 26))).join("");
  for (const byte of Buffer.from(`${text}\n`)) splitter.push(Buffer.from([byte]));
  for (let at = 0; at < LIMITS.logLineBytes * 5; at++) splitter.push(Buffer.from("x"));
  splitter.push(Buffer.from("\n"));
  expect(lines).toEqual([text, "x".repeat(LIMITS.logLineBytes * 4)]);
});
