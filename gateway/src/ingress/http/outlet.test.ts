// How an answer waits for a client that takes nothing, and goes on when it does.
import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { Outlet } from "./outlet.ts";

/** A response whose client takes what it is told to. */
function slow() {
  const written: string[] = [];
  const waiting: (() => void)[] = [];
  const response = {
    writableLength: 0,
    write(chunk: Buffer, taken: () => void) {
      written.push(chunk.toString());
      this.writableLength += chunk.length;
      waiting.push(() => {
        this.writableLength -= chunk.length;
        taken();
      });
      return this.writableLength < 64 * 1024;
    },
  };
  const told: string[] = [];
  const outlet = new Outlet(response as unknown as ServerResponse, {
    waits: (bytes) => told.push(`waits ${bytes}`),
    taken: () => told.push("taken"),
    empty: (wasFull) => told.push(`empty ${wasFull}`),
  });
  const takeAll = () => {
    while (waiting.length > 0) waiting.shift()!();
  };
  return { outlet, written, told, takeAll };
}

test("a thousand single bytes are a few pieces, in their order, and count as more than they are", () => {
  const { outlet, written, told, takeAll } = slow();
  for (let i = 0; i < 1_000; i += 1) expect(outlet.write(Buffer.from(String(i % 10)))).toBe(true);
  expect(written.length).toBeLessThan(10);
  expect(Number(told.at(-1)!.replace("waits ", ""))).toBeGreaterThanOrEqual(1_000);
  takeAll();
  expect(written.join("")).toBe("0123456789".repeat(100));
  expect(written.length).toBeLessThan(11);
  expect(told.at(-1)).toBe("empty false");
});

test("it is full at 64 KiB, also of small pieces, and says once when it is empty again", () => {
  for (const size of [64 * 1024, 100]) {
    const { outlet, told, takeAll } = slow();
    let pieces = 0;
    while (outlet.write(Buffer.alloc(size))) pieces += 1;
    expect(pieces * size).toBeLessThan(64 * 1024 + 8 * size);
    takeAll();
    expect(told.filter((word) => word.startsWith("empty"))).toEqual(["empty true"]);
    expect(outlet.write(Buffer.from("x"))).toBe(true);
  }
});

test("what is gathered goes before the end", () => {
  const { outlet, written, told, takeAll } = slow();
  for (let i = 0; i < 20; i += 1) outlet.write(Buffer.from("a"));
  expect(written.join("") + outlet.takeTail()!.toString()).toBe("a".repeat(20));
  expect(outlet.takeTail()).toBeUndefined();
  // What was gathered waits behind the pieces, so with these not all is taken: who holds it lets go when the response has closed.
  takeAll();
  expect(told.filter((word) => word.startsWith("empty"))).toEqual([]);
});
