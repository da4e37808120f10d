import { buffer } from "node:stream/consumers";
import { expect, it } from "vitest";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Ledger } from "../call/call.ts";
import { StoredCaller } from "./stored-caller.ts";

const ledger: Ledger = { began: () => undefined, ended: () => undefined, unexpected: () => undefined };
const stored = (body?: Buffer) =>
  new StoredCaller({ method: "POST", path: "/", requestId: "request-1", ...(body === undefined ? {} : { body }) }, ledger);

it("gives its body at once or as a stream, and counts it", async () => {
  const gathered = stored(Buffer.from("abc"));
  expect([gathered.bodyLength, String(await gathered.gatherBody()), gathered.call.bytesIn]).toEqual([3, "abc", 3]);
  const streamed = stored(Buffer.from("abc"));
  expect([String(await buffer(streamed.streamBody())), streamed.call.bytesIn]).toEqual(["abc", 3]);
  expect(streamed.call.bodyDoneAt).toBeGreaterThan(0);
  expect(stored().bodyLength).toBe(0);
});

it("keeps copies: an answer does not change with the block that it came in", async () => {
  const caller = stored();
  const block = Buffer.from("one");
  caller.writeHead(200, ["a", "b"]);
  caller.write(block);
  block.fill("x");
  caller.end();
  expect(await caller.answer).toEqual({ status: 200, headers: ["a", "b"], body: Buffer.from("one"), whole: true });
});

it("has a refusal as its answer", async () => {
  const caller = stored();
  caller.call.fail(new PlatformError("CAPACITY_UNAVAILABLE", "None."));
  const { status, body } = await caller.answer;
  expect([status, JSON.parse(String(body)).code, caller.call.phase]).toEqual([503, "CAPACITY_UNAVAILABLE", "over"]);
});
