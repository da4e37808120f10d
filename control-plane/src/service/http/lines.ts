// Splits a byte stream (ND-JSON) into lines of limited length.
import { PlatformError } from "../../contract/errors.ts";

/** Yields each line without its line feed; throws PAYLOAD_TOO_LARGE when one is longer than `capBytes`. */
export async function* splitLines(source: AsyncIterable<unknown>, capBytes: number): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.toString("utf8", 0, end);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > capBytes) throw new PlatformError("PAYLOAD_TOO_LARGE", "A line of the stream is too long.");
  }
  if (rest.length > 0) yield rest.toString("utf8");
}
