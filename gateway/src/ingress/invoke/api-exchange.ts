// `/v1/*`: requests are streamed to the control plane's API and back, with the forwarding fields of a trusted proxy in front. The API
// itself authenticates and limits requests; nothing is checked here.
import type { EndpointDial } from "@fnctl/control-plane/contract/endpoint";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { Pool } from "undici";
import type { Call, Holder } from "../call/call.ts";
import { addForwarded } from "../http/forwarding.ts";
import type { HttpCaller } from "../http/http-caller.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import { Relay, type RelayOwner } from "./relay.ts";

interface Deps {
  dial: EndpointDial;
  metrics: Metrics;
  isTrustedProxy: (address: string | undefined) => boolean;
}

export function createApiFront({ dial, metrics, isTrustedProxy }: Deps) {
  const pool = new Pool(dial.origin, {
    connect: dial.connect,
    connections: GATEWAY_LIMITS.apiConnections,
    pipelining: 1,
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    relay(caller: HttpCaller): void {
      metrics.apiRequests += 1;
      const { headers, host, authorization, contentLength } = caller.head!;
      headers.push("host", host);
      if (authorization !== undefined) headers.push("authorization", authorization);
      if (contentLength > 0) headers.push("content-length", String(contentLength));
      addForwarded(headers, caller, isTrustedProxy, "");
      new ApiExchange(pool, caller.call).send(headers);
    },
    close: () => pool.destroy(),
  };
}

class ApiExchange implements Holder, RelayOwner {
  private readonly pool: Pool;
  private readonly call: Call;
  private readonly relay: Relay;

  constructor(pool: Pool, call: Call) {
    this.pool = pool;
    this.call = call;
    this.relay = new Relay(call, this);
    call.holder = this;
  }
  send(headers: string[]): void {
    const { target: path, method, caller } = this.call;
    this.call.sentAt = performance.now();
    const body = caller.bodyLength === 0 ? null : caller.streamBody();
    this.pool.dispatch({ path, method, headers, body }, this.relay);
  }
  failed(error: Error): void {
    this.call.fail(error instanceof PlatformError ? error : unreachable(error));
  }
  drained(): void {
    this.relay.resume();
  }
  letGo(whole: boolean): void {
    if (!whole) this.relay.abort();
  }
}

const unreachable = (cause: Error): PlatformError =>
  new PlatformError("UNAVAILABLE", "The platform's API is not reachable.", {
    hint: "Functions go on answering; try again in a few seconds.",
    cause,
  });
