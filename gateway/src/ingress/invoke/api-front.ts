// The API's front door: requests for it go to the control plane's listener, with what a proxy in front is believed to say.
import type { EndpointDial } from "@fnctl/control-plane/contract/endpoint";
import { Pool } from "undici";
import { addForwarded } from "../http/forwarding.ts";
import type { RequestContext } from "../http/request-context.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import { ApiRelay, type ApiRelayDeps } from "./api-relay.ts";

interface Deps extends Pick<ApiRelayDeps, "finished" | "sendProblem"> {
  dial: EndpointDial;
  metrics: Metrics;
  isTrustedProxy: (address: string | undefined) => boolean;
}

export function createApiFront({ dial, metrics, isTrustedProxy, finished, sendProblem }: Deps) {
  const pool = new Pool(dial.origin, {
    connect: dial.connect,
    connections: GATEWAY_LIMITS.apiConnections,
    pipelining: 1,
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    relay(context: RequestContext): void {
      const head = context.head!;
      metrics.apiRequests += 1;
      head.headers.push("host", head.host);
      if (head.authorization !== undefined) head.headers.push("authorization", head.authorization);
      if (head.contentLength > 0) head.headers.push("content-length", String(head.contentLength));
      addForwarded(head.headers, context, isTrustedProxy, "");
      new ApiRelay({ pool, finished, sendProblem }, context).run(head.headers);
    },
    close: () => pool.destroy(),
  };
}
