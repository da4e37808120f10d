// The collector's listener over TCP, where a secret decides who may ask.
import type { RequestListener } from "node:http";
import { PlatformError } from "../../contract/errors.ts";
import { createBearerCheck } from "../../service/http/authorised.ts";
import { serveJson } from "../../service/http/serve.ts";
import { createCollectorListener } from "../keep/server.ts";
import { AGENT } from "./limits.ts";
import type { Segments } from "../keep/segments.ts";

export function createAgentListener(segments: Segments, secret: string, keepAliveMs: number = AGENT.keepAliveMs): RequestListener {
  const collect = createCollectorListener(segments, keepAliveMs);
  const authorised = createBearerCheck(secret);
  return serveJson((request, response) => {
    if (!authorised(request)) throw new PlatformError("UNAUTHENTICATED", "The agents' secret is missing or wrong.");
    collect(request, response);
    return undefined;
  });
}
