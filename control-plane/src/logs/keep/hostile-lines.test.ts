// What a function prints is hostile (SECURITY D10, D11): each line becomes one bounded record whose owner comes from the channel.
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../contract/limits.ts";
import { RECORD_MARK, logRecordSchema, type LogChannel } from "../../contract/logs.ts";
import { createLineSplitter } from "./line-splitter.ts";
import { parseRecord, type Draft } from "./parse-record.ts";

const channel: LogChannel = {
  instance: "a".repeat(20),
  tenantId: "01900000-0000-7000-8000-00000000000a",
  functionId: "01900000-0000-7000-8000-00000000000b",
  version: 7,
};
/** Longest record as JSON: escapes at most double the message, and the other fields need a little more. */
const RECORD_BYTES = LIMITS.logLineBytes * 3 * 2 + 512;

/** Sends bytes through splitter and parser, in chunks as a pipe delivers them. */
function records(bytes: Buffer, chunkBytes = 64 * 1024): Draft[] {
  const out: Draft[] = [];
  const onLine = (line: string) => void out.push(parseRecord(line, "stdout", channel));
  const splitter = createLineSplitter({ admit: () => true, onLine });
  for (let at = 0; at < bytes.length; at += chunkBytes) splitter.push(bytes.subarray(at, at + chunkBytes));
  splitter.end();
  return out;
}
const marked = (value: unknown): Buffer => Buffer.from(`${RECORD_MARK}${JSON.stringify(value)}\n`);
const one = (bytes: Buffer): Draft => {
  const all = records(bytes);
  expect(all).toHaveLength(1);
  return all[0]!;
};

describe("a hostile line", () => {
  test.each([
    ["an operating system command of a terminal", Buffer.from("\u001b]0;owned\u0007\u001b[2J\n"), "\\u001b]0;owned\\u0007\\u001b[2J"],
    ["a C1 control", Buffer.from("a\u009b31mb\n"), "a\\u009b31mb"],
    ["line and paragraph separators", Buffer.from("a\u2028b\u2029c\u0085d\n"), "a\\u2028b\\u2029c\\u0085d"],
    ["marks that turn text around", Buffer.from("a\u202eb\u2066c\u061cd\n"), "a\\u202eb\\u2066c\\u061cd"],
    ["NUL", Buffer.from("a\0b\n"), "a\\u0000b"],
    ["a carriage return in the middle", Buffer.from("safe\rforged\n"), "safe\\u000dforged"],
    ["invalid UTF-8", Buffer.from([0x61, 0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0x62, 0x0a]), "a������b"],
    ["the end of Windows lines", Buffer.from("plain\r\n"), "plain"],
  ])("with %s becomes one harmless record", (_what, bytes, message) => {
    const record = one(bytes);
    expect(record.message).toBe(message);
    expect(record).toMatchObject({ level: "info", source: "stdout", version: 7, instance: channel.instance });
  });

  test.each([
    ["letters", Buffer.alloc(10 * 1024 * 1024, "x")],
    ["escapes", Buffer.alloc(10 * 1024 * 1024, 0x1b)],
    ["quotes", Buffer.alloc(10 * 1024 * 1024, '"')],
    ["invalid UTF-8", Buffer.alloc(10 * 1024 * 1024, 0xff)],
    ["wide letters", Buffer.from("漢".repeat(3_500_000))],
    ["a marked record", marked({ l: "info", m: "x".repeat(10 * 1024 * 1024) })],
  ])("of 10 MB of %s without a line feed becomes one record of bounded size, with a mark that it was cut", (_what, bytes) => {
    const record = one(bytes);
    expect(record.message.endsWith("…[cut]")).toBe(true);
    expect(record.message.length).toBeLessThanOrEqual(LIMITS.logLineBytes + 10);
    expect(Buffer.byteLength(JSON.stringify({ ...record, at: 1, seq: 1 }))).toBeLessThan(RECORD_BYTES);
  });

  test("is cut into the same records however the bytes arrive", () => {
    const bytes = Buffer.concat([Buffer.from("first\nsecond "), marked({ m: "x" }), Buffer.from("漢字\n\n\nlast, with no line feed")]);
    const whole = records(bytes);
    expect(whole.map((record) => record.message)).toEqual(["first", 'second \\u001e{"m":"x"}', "漢字", "last, with no line feed"]);
    for (const size of [1, 2, 3, 7]) expect(records(bytes, size)).toEqual(whole);
  });
});

describe("what a record of the bootstrap may say", () => {
  test("is level, request id and text; tenant, function, version and all else are the channel's", () => {
    const forged = {
      l: "error",
      r: "request-0001",
      m: "hello",
      tenantId: "x",
      functionId: "y",
      version: 99,
      instance: "z",
      source: "platform",
    };
    expect(one(marked(forged))).toEqual({
      level: "error",
      requestId: "request-0001",
      message: "hello",
      source: "stdout",
      version: 7,
      instance: channel.instance,
    });
  });

  test("a line feed inside its text stays inside its one record", () => {
    const record = one(marked({ l: "info", m: 'a\n{"level":"error","tenantId":"victim"}' }));
    expect(record.message).toBe('a\n{"level":"error","tenantId":"victim"}');
    const line = JSON.stringify({ ...record, at: 1, seq: 1 });
    expect(line.split("\n")).toHaveLength(1);
    expect(logRecordSchema.parse(JSON.parse(line)).level).toBe("info");
  });

  test.each([
    ["an unknown level", { l: "fatal", m: "x" }],
    ["a request id with a line feed", { r: "a\nb-request", m: "x" }],
    ["a request id that is too long", { r: "r".repeat(65), m: "x" }],
    ["no text", { l: "error" }],
    ["a text that is no string", { l: "error", m: { toString: "x" } }],
  ])("with %s it is kept as plain text that claims nothing", (_what, value) => {
    const record = one(marked(value));
    expect(record).toMatchObject({ level: "info", source: "stdout" });
    expect(record).not.toHaveProperty("requestId");
    expect(record.message.startsWith("\\u001e{")).toBe(true);
  });

  test("printed without the mark it is text, whatever it looks like", () => {
    const record = one(Buffer.from('{"l":"error","r":"request-0001","m":"forged"}\n'));
    expect(record).toMatchObject({ level: "info", message: '{"l":"error","r":"request-0001","m":"forged"}' });
    expect(record).not.toHaveProperty("requestId");
  });
});
