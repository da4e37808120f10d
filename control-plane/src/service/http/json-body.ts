// Reads a small JSON body from node:http, capped.
import type { IncomingMessage } from "node:http";
import { PlatformError } from "../../contract/errors.ts";

/** Rejects with PAYLOAD_TOO_LARGE for a body above `capBytes`, and with BAD_REQUEST for one that is not JSON. */
export async function readJson(request: AsyncIterable<unknown> | IncomingMessage, capBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > capBytes) throw new PlatformError("PAYLOAD_TOO_LARGE", `The body is larger than ${capBytes} bytes.`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw new PlatformError("BAD_REQUEST", "The body is not JSON.", { cause: error });
  }
}
