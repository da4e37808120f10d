// A reader over a real connection: slow ones are waited for, those that take nothing are cut, and nothing gathers for either.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { writeBatches } from "./write-lines.ts";

const STALLED_MS = 1_000;
/** Not TCP: the kernel holds megabytes of a connection of that, and says that it has room when a third of them is free. */
const SOCKET = path.join(tmpdir(), `fnctl-write-lines-${process.pid}`);
let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** 4,000 batches of 10 KB, and how many were asked for. */
async function* batches(asked: { count: number }): AsyncGenerator<string[]> {
  for (; asked.count < 4_000; asked.count++) yield ["x".repeat(10_000)];
}
async function open(asked: { count: number }): Promise<{ reader: IncomingMessage; response: ServerResponse; written: Promise<void> }> {
  const made = Promise.withResolvers<{ response: ServerResponse; written: Promise<void> }>();
  server = createServer((_request, response) => {
    response.writeHead(200);
    response.flushHeaders();
    made.resolve({ response, written: writeBatches(response, batches(asked), STALLED_MS).then(() => void response.end()) });
  });
  await new Promise<void>((resolve) => server.listen(SOCKET, resolve));
  const reader = await new Promise<IncomingMessage>((resolve) =>
    http.get({ socketPath: SOCKET, agent: false }, (answer) => resolve(answer.pause())),
  );
  reader.on("error", () => undefined);
  return { reader, ...(await made.promise) };
}

test("one that takes nothing is cut, and what it did not take was never made", async () => {
  const asked = { count: 0 };
  const { response, written } = await open(asked);
  await written;
  expect(response.destroyed).toBe(true);
  expect(asked.count).toBeLessThan(2_000);
});

test("one that takes a little from time to time gets all of it", async () => {
  const asked = { count: 0 };
  const { reader, written } = await open(asked);
  let bytes = 0;
  const begun = performance.now();
  for await (const chunk of reader) {
    bytes += (chunk as Buffer).length;
    if (performance.now() - begun < 2 * STALLED_MS) await sleep(20);
  }
  await written;
  expect(bytes).toBe(4_000 * 10_003); // two quotes and a line feed each
});

test("one that goes away ends the source", async () => {
  const asked = { count: 0 };
  const { reader, written } = await open(asked);
  reader.destroy();
  await written;
  expect(asked.count).toBeLessThan(2_000);
});
