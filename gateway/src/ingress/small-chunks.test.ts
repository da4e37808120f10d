// One side writes byte by byte; the other side's cost is counted in writes, because each is work that everybody waits for.
import { connect } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Platform } from "../testing/platform.ts";

const BYTES = 50_000;
const CHUNKS = "1\r\nx\r\n".repeat(BYTES);
/** With 64 KiB in a read of seven times as many bytes; one for each byte was the fault. */
const MOST_WRITES = 200;

let platform: Platform;
beforeEach(async () => {
  platform = await new Platform().start();
});
afterEach(() => platform.stop());

/** Sends the bytes; resolves with what comes until `end` is in it. */
function exchange(bytes: string, end: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(platform.port, "127.0.0.1");
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      if (!text.endsWith(end)) return;
      socket.destroy();
      resolve(text);
    });
    socket.on("error", reject).write(bytes);
  });
}
const chunksIn = (text: string): number => text.match(/\r\n[0-9a-f]+\r\n/g)?.length ?? 0;

it("an answer of one-byte chunks goes on in few writes, whole", async () => {
  const upstream = await platform.rawUpstream((socket) =>
    socket.on("data", () => socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${CHUNKS.repeat(4)}0\r\n\r\n`)),
  );
  await platform.serve(upstream, { access: "public" });
  const answer = await platform.call("/", { token: null });
  expect([answer.status, answer.body.length]).toEqual([200, 4 * BYTES]);
  const raw = await exchange("GET / HTTP/1.1\r\nhost: hello--acme.localhost\r\n\r\n", "0\r\n\r\n");
  expect(chunksIn(raw)).toBeLessThan(MOST_WRITES);
});

it("so does a body of one-byte chunks", async () => {
  let text = "";
  const upstream = await platform.rawUpstream((socket) =>
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += String(chunk);
      if (text.endsWith("0\r\n\r\n")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    }),
  );
  await platform.serve(upstream, { access: "public" });
  const sent = `POST / HTTP/1.1\r\nhost: hello--acme.localhost\r\ntransfer-encoding: chunked\r\n\r\n${CHUNKS}0\r\n\r\n`;
  expect(await exchange(sent, "ok")).toMatch(/^HTTP\/1\.1 200 /);
  expect(text.slice(text.indexOf("\r\n\r\n")).match(/x/g)).toHaveLength(BYTES);
  expect(chunksIn(text)).toBeLessThan(MOST_WRITES);
});
