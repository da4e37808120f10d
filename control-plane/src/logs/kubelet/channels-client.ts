// Asks the control plane which functions the given instances belong to.
import type { EndpointDial } from "../../contract/endpoint.ts";
import { INTERNAL_PATHS, logChannelsResponseSchema } from "../../contract/internal.ts";
import type { LogChannel } from "../../contract/logs.ts";
import { createCaller } from "../../service/http/call.ts";

const TIMEOUT_MS = 5_000;
const ANSWER_CAP = 1024 * 1024;

export function createChannelsClient(dial: EndpointDial, secret: string) {
  const { ask } = createCaller({ dial, who: "The control plane", secret, connections: 1, timeoutMs: TIMEOUT_MS, answerCap: ANSWER_CAP });
  return async (instances: string[]): Promise<LogChannel[]> =>
    (await ask({ method: "POST", path: INTERNAL_PATHS.logChannels, body: { instances } }, logChannelsResponseSchema)).channels;
}
