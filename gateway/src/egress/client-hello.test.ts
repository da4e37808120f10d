// A ClientHello in pieces: what TLS allows is read, and what only costs time is not.
import { expect, it } from "vitest";
import { clientHello } from "../testing/egress.ts";
import { readClientHello } from "./client-hello.ts";

/** The same handshake message in records of so many bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(parts);
}
it("is read out of several records", async () => {
  const hello = await clientHello("good.example");
  expect(readClientHello(inRecords(hello, 50))).toEqual({ state: "complete", serverName: "good.example" });
});
it("is none in records of one byte, which would be looked at again with each that comes", async () => {
  const hello = await clientHello("good.example");
  expect(readClientHello(inRecords(hello, 1))).toEqual({ state: "broken" });
  expect(readClientHello(inRecords(hello, 1).subarray(0, 6 * 60))).toEqual({ state: "incomplete" });
});
