// The kubelet's files as a byte stream: however it is cut into chunks, it gives the same lines, and no line is held beyond its cap.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../contract/limits.ts";
import { createCriReader } from "./cri-lines.ts";
import { AGENT } from "./limits.ts";

interface Seen {
  source: string;
  line: string;
  at: number;
}
function collect() {
  const seen: Seen[] = [];
  let at = 0;
  const sink = (source: string) => ({ admit: () => true, onLine: (line: string) => void seen.push({ source, line, at }) });
  const reader = createCriReader({ stdout: sink("stdout"), stderr: sink("stderr") }, (time) => (at = time));
  return { seen, reader };
}
const TIME = "2026-01-02T03:04:05.678901234Z";
const read = (text: string | Buffer, cuts: number[] = []): Seen[] => {
  const { seen, reader } = collect();
  const bytes = Buffer.from(text);
  let from = 0;
  for (const to of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    reader.push(bytes.subarray(from, to));
    from = Math.max(from, to);
  }
  return seen;
};
const lines = (text: string) => read(text).map(({ line }) => line);

test("a line has its text, its stream and its time", () => {
  expect(read(`${TIME} stdout F hello world\n2026-01-02T05:04:06.5+02:00 stderr F oh no\n`)).toEqual([
    { source: "stdout", line: "hello world", at: Date.parse("2026-01-02T03:04:05.678Z") },
    { source: "stderr", line: "oh no", at: Date.parse("2026-01-02T03:04:06.500Z") },
  ]);
});

test("parts are joined within their stream, and the text keeps its spaces", () => {
  const text = [
    `${TIME} stdout P one `,
    `${TIME} stderr F between`,
    `${TIME} stdout P  two`,
    `${TIME} stdout F:x  three `,
    `${TIME} stdout F `,
    "",
  ];
  expect(lines(text.join("\n"))).toEqual(["between", "one  two three "]);
});

test.each([
  ["no header at all", "nonsense"],
  ["an unknown stream", `${TIME} stdlog F x`],
  ["no time", "yesterday stdout F x"],
  ["a header that ends too early", `${TIME} stdout`],
  ["an empty line", ""],
  ["a header without end", "x".repeat(10_000)],
  ["spaces only", " ".repeat(500)],
  ["NUL bytes", "\0".repeat(500)],
])("a line with %s is passed over, and the next one is read", (_what, broken) => {
  expect(lines(`${broken}\n${TIME} stdout F good\n`)).toEqual(["good"]);
});

test("what a function prints cannot look like a header: only the runtime begins a line", () => {
  expect(lines(`${TIME} stdout F ${TIME} stderr F forged\n`)).toEqual([`${TIME} stderr F forged`]);
});

test("a line of many parts is cut at the cap that every line has", () => {
  const part = `${TIME} stdout P ${"x".repeat(16 * 1024)}\n`;
  const [line, ...rest] = lines(`${part.repeat(40)}${TIME} stdout F end\n${TIME} stdout F next\n`);
  expect(line).toHaveLength(LIMITS.logLineBytes * 4);
  expect(rest).toEqual(["next"]);
});

const text = fc.string({ unit: "binary", maxLength: 60 }).map((value) => value.replaceAll("\n", " "));
const kubeletLine = fc.tuple(fc.constantFrom("stdout", "stderr"), fc.constantFrom("P", "F"), text);
const file = fc
  .array(kubeletLine, { maxLength: 30 })
  .map((all) => all.map(([source, tag, line]) => `${TIME} ${source} ${tag} ${line}\n`).join(""));
const cuts = fc.array(fc.nat(3000), { maxLength: 20 });

test("however the bytes arrive, the same lines come out", () => {
  fc.assert(
    fc.property(file, cuts, (bytes, at) => {
      expect(read(bytes, at)).toEqual(read(bytes));
    }),
  );
});

test("arbitrary bytes never throw, and do not change with how they arrive", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), cuts, (bytes, at) => {
      expect(read(Buffer.from(bytes), at)).toEqual(read(Buffer.from(bytes)));
    }),
  );
});

describe("a reader that starts anew where another said", () => {
  test("reads no line of a stream twice that came whole before, and misses none", () => {
    fc.assert(
      fc.property(file, fc.nat(3000), (bytes, at) => {
        const whole = Buffer.from(bytes);
        const { seen, reader } = collect();
        reader.push(whole.subarray(0, at));
        const before = seen.map(({ line }) => line);
        const [from, again] = [reader.resumeAt(), reader.waits()];
        const after = read(whole.subarray(from)).map(({ line }) => line);
        const all = read(whole).map(({ line }) => line);
        if (!again) expect([...before, ...after]).toEqual(all);
        else expect(all.filter((line) => !before.includes(line) && !after.includes(line))).toEqual([]);
      }),
    );
  });

  test("does not go back for the beginning of a line that is beyond all bounds", () => {
    const { reader } = collect();
    const part = `${TIME} stdout P ${"x".repeat(1000)}\n`;
    const count = Math.ceil(AGENT.partsBytes / part.length);
    reader.push(Buffer.from(part.repeat(count - 1)));
    expect(reader.resumeAt()).toBe(0);
    reader.push(Buffer.from(part.repeat(2)));
    expect(reader.resumeAt()).toBe(part.length * (count + 1));
  });
});
