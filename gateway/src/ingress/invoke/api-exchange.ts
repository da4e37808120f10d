// `/v1/*`: requests are streamed to the control plane's API and back, with the forwarding fields of a trusted proxy in front. The API
// authenticates requests and judges rights; here only the number of requests under way and their time are bounded.
import { apiKindOf, type ApiKind } from "@fnctl/control-plane/contract/api-kinds";
import type { EndpointDial } from "@fnctl/control-plane/contract/endpoint";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { Pool } from "undici";
import type { Call, Holder } from "../call/call.ts";
import { addForwarded } from "../http/forwarding.ts";
import type { HttpCaller } from "../http/http-caller.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import type { TokenTable } from "../replica/token-table.ts";
import { ApiBudget, type ApiLimits } from "./api-budget.ts";
import { Relay, type RelayOwner } from "./relay.ts";

/** Milliseconds for the body, and from then for the answer. */
export interface ApiTimes {
  apiBodyMs: Record<ApiKind, number>;
  apiAnswerMs: Record<ApiKind, number>;
}
interface Deps {
  dial: EndpointDial;
  metrics: Metrics;
  tokens: Pick<TokenTable, "find">;
  isTrustedProxy: (address: string | undefined) => boolean;
  limits?: (ApiTimes & { api: Record<ApiKind, ApiLimits> }) | undefined;
}

export function createApiFront({ dial, metrics, tokens, isTrustedProxy, limits = GATEWAY_LIMITS }: Deps) {
  const budget = new ApiBudget(limits.api);
  const pool = (kind: ApiKind) =>
    new Pool(dial.origin, {
      connect: dial.connect,
      connections: limits.api[kind].all,
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  // Apart, so that streams, which stay, take no call's connection.
  const pools: Record<ApiKind, Pool> = { call: pool("call"), upload: pool("upload"), stream: pool("stream") };

  return {
    /** Throws when the client has too many requests under way. */
    relay(caller: HttpCaller): void {
      metrics.apiRequests += 1;
      const { headers, host, authorization, contentLength } = caller.head!;
      const { remoteAddress } = caller.request.socket;
      const kind = apiKindOf(caller.call.method, caller.call.target);
      headers.push("host", host);
      if (authorization !== undefined) headers.push("authorization", authorization);
      if (contentLength > 0) headers.push("content-length", String(contentLength));
      addForwarded(headers, caller, isTrustedProxy, "");
      const leave = budget.enter(kind, {
        tenantId: tokens.find(authorization, caller.call.acceptedAt)?.tenantId,
        address: isTrustedProxy(remoteAddress) ? undefined : (remoteAddress ?? "here"),
      });
      new ApiExchange(pools[kind], caller.call, { bodyMs: limits.apiBodyMs[kind], answerMs: limits.apiAnswerMs[kind], kind }, leave).send(
        headers,
      );
    },
    close: () => Promise.all(Object.values(pools).map((each) => each.destroy())),
  };
}

class ApiExchange implements Holder, RelayOwner {
  private readonly pool: Pool;
  private readonly call: Call;
  private readonly times: { bodyMs: number; answerMs: number; kind: ApiKind };
  private readonly leave: () => void;
  private readonly relay: Relay;
  private timer: NodeJS.Timeout | undefined = undefined;

  constructor(pool: Pool, call: Call, times: ApiExchange["times"], leave: () => void) {
    this.pool = pool;
    this.call = call;
    this.times = times;
    this.leave = leave;
    this.relay = new Relay(call, this);
    call.holder = this;
  }
  send(headers: string[]): void {
    const { target: path, method, caller } = this.call;
    this.call.sentAt = performance.now();
    const body = caller.bodyLength === 0 ? null : caller.streamBody();
    this.timer = setTimeout(onTime, body === null ? this.times.answerMs : this.times.bodyMs, this);
    this.pool.dispatch({ path, method, headers, body }, this.relay);
  }
  failed(error: Error): void {
    this.call.fail(error instanceof PlatformError ? error : unreachable(error));
  }
  drained(): void {
    this.relay.resume();
  }
  letGo(whole: boolean): void {
    clearTimeout(this.timer);
    this.leave();
    if (!whole) this.relay.abort();
  }

  timeIsOver(): void {
    const { call, times } = this;
    const bodyIsThere = call.caller.bodyLength === 0 || call.bodyDoneAt !== 0;
    if (!bodyIsThere)
      return call.fail(new PlatformError("REQUEST_TIMEOUT", `The request's body did not arrive within ${times.bodyMs} ms.`));
    if (call.phase === "answering" && times.kind === "stream") return; // it goes on as long as its reader reads
    const left = Math.max(call.sentAt, call.bodyDoneAt) + times.answerMs - performance.now();
    if (left > 0) this.timer = setTimeout(onTime, left, this);
    else call.fail(new PlatformError("UNAVAILABLE", `The platform's API did not answer within ${times.answerMs} ms.`));
  }
}
const onTime = (exchange: ApiExchange): void => exchange.timeIsOver();

const unreachable = (cause: Error): PlatformError =>
  new PlatformError("UNAVAILABLE", "The platform's API is not reachable.", {
    hint: "Functions go on answering; try again in a few seconds.",
    cause,
  });
