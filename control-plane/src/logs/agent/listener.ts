// The collector's listener over TCP: there a secret decides who may ask.
import type { RequestListener } from "node:http";
import { PROBLEM_TYPE, PlatformError, toProblem } from "../../contract/errors.ts";
import { authorised } from "../../http/authorised.ts";
import { createCollectorListener } from "../collector/server.ts";
import { AGENT } from "./limits.ts";
import type { Segments } from "../collector/segments.ts";

export function createAgentListener(segments: Segments, secret: Buffer, keepAliveMs: number = AGENT.keepAliveMs): RequestListener {
  const answer = createCollectorListener(segments, keepAliveMs);
  return (request, response) => {
    if (authorised(request, secret)) return answer(request, response);
    const problem = toProblem(new PlatformError("UNAUTHENTICATED", "The agents' secret is missing or wrong."));
    response.writeHead(problem.status, { "content-type": PROBLEM_TYPE }).end(JSON.stringify(problem));
  };
}
