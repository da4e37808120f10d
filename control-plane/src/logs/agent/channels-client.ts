// Asks the control plane whose instances are.
import { Pool } from "undici";
import type { EndpointDial } from "../../contract/endpoint.ts";
import { PlatformError } from "../../contract/errors.ts";
import { INTERNAL_PATHS, logChannelsResponseSchema } from "../../contract/internal.ts";
import type { LogChannel } from "../../contract/logs.ts";

const TIMEOUT_MS = 5_000;
const ANSWER_CAP = 1024 * 1024;

export function createChannelsClient(dial: EndpointDial, secret: string) {
  const pool = new Pool(dial.origin, {
    connect: dial.connect,
    connections: 1,
    allowH2: false,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    maxResponseSize: ANSWER_CAP,
  });
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  return async (instances: string[]): Promise<LogChannel[]> => {
    const answer = await pool
      .request({ method: "POST", path: INTERNAL_PATHS.logChannels, headers, body: JSON.stringify({ instances }) })
      .catch((error: unknown) => Promise.reject(new PlatformError("UNAVAILABLE", "The control plane does not answer.", { cause: error })));
    const value: unknown = await answer.body.json().catch(() => undefined);
    if (answer.statusCode !== 200) throw new PlatformError("UNAVAILABLE", `The control plane answered ${answer.statusCode}.`);
    return logChannelsResponseSchema.parse(value).channels;
  };
}
