// `PUT code`: sends a version's layer into one sandbox, over a connection on which the sandbox has proved its certificate.
import type { Readable } from "node:stream";
import type { Client } from "undici";
import { PlatformError } from "../contract/errors.ts";
import { CODE_DIGEST_HEADER, PROTOCOL_PATHS } from "../contract/runtime-protocol.ts";

/** Enough time for half a gigabyte over a slow pod network. */
const SEND_MS = 120_000;

export interface Layer {
  /** Size of the uncompressed tar. */
  bytes: number;
  open(): Readable;
}

export async function sendCode(link: Client, digest: string, layer: Layer): Promise<void> {
  const answer = await link
    .request({
      method: "PUT",
      path: PROTOCOL_PATHS.code,
      headers: { "content-type": "application/x-tar", "content-length": String(layer.bytes), [CODE_DIGEST_HEADER]: digest },
      body: layer.open(),
      headersTimeout: SEND_MS,
      bodyTimeout: SEND_MS,
      signal: AbortSignal.timeout(SEND_MS),
    })
    .catch((cause: unknown) => {
      throw new PlatformError("FUNCTION_CRASHED", "The sandbox did not take the code.", { cause });
    });
  const text = await answer.body.text().catch(() => "");
  if (answer.statusCode >= 300)
    throw new PlatformError("SANDBOX_FAILED", `The sandbox refused the code with ${answer.statusCode}: ${text.slice(0, 300)}`);
}
