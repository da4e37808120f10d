// `/v1/*`: requests are streamed to the control plane's API and back, with the forwarding fields of a trusted proxy in front. The API
// authenticates requests and judges rights; here only the number of requests under way and their time are bounded.
import { apiKindOf, type ApiKind } from "@fnctl/control-plane/contract/api-kinds";
import type { EndpointDial } from "@fnctl/control-plane/contract/endpoint";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { Pool } from "undici";
import type { Call, Holder } from "../call/call.ts";
import { addForwarded } from "../http/forwarding.ts";
import type { HttpCaller } from "../http/http-caller.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import type { TokenTable } from "../replica/token-table.ts";
import { gatherBody } from "./gather-body.ts";
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

  /** Throws when the client has too many requests under way. */
  function send(caller: HttpCaller, kind: ApiKind, body: Buffer | undefined): void {
    const { headers, host, authorization } = caller.head!;
    headers.push("host", host);
    if (authorization !== undefined) headers.push("authorization", authorization);
    if (body === undefined && caller.bodyLength > 0) headers.push("content-length", String(caller.bodyLength));
    addForwarded(headers, caller, isTrustedProxy, "");
    const leave = budget.enter(kind, {
      tenantId: tokens.find(authorization, caller.call.acceptedAt)?.tenantId,
      address: caller.address ?? (caller.request.socket.remoteAddress === undefined ? "here" : undefined),
    });
    new ApiExchange(pools[kind], caller.call, { bodyMs: limits.apiBodyMs[kind], answerMs: limits.apiAnswerMs[kind], kind }, leave).send(
      headers,
      body,
    );
  }

  return {
    relay(caller: HttpCaller): void {
      metrics.apiRequests += 1;
      const { call, bodyLength } = caller;
      const kind = apiKindOf(call.method, call.target);
      if (bodyLength === 0 || kind === "upload") return send(caller, kind, undefined);
      // A document whose length is not known, or more than the API takes, may take its time as an upload does.
      if (bodyLength < 0 || bodyLength > LIMITS.apiBodyBytes) return send(caller, "upload", undefined);
      gatherBody(call, limits.apiBodyMs[kind])
        .then((body) => {
          if (body !== undefined) send(caller, kind, body);
        })
        .catch((error: unknown) => call.fail(error));
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
  private streams = false;
  private timer: NodeJS.Timeout | undefined = undefined;

  constructor(pool: Pool, call: Call, times: ApiExchange["times"], leave: () => void) {
    this.pool = pool;
    this.call = call;
    this.times = times;
    this.leave = leave;
    this.relay = new Relay(call, this);
    call.holder = this;
  }
  /** `gathered`: undefined: there is no body, or it is streamed. */
  send(headers: string[], gathered: Buffer | undefined): void {
    const { target: path, method, caller } = this.call;
    this.call.sentAt = performance.now();
    this.streams = gathered === undefined && caller.bodyLength !== 0;
    const body = this.streams ? caller.streamBody() : (gathered ?? null);
    this.timer = setTimeout(onTime, this.streams ? this.times.bodyMs : this.times.answerMs, this);
    this.pool.dispatch({ path, method, headers, body }, this.relay);
  }
  /** What the control plane writes is trusted. */
  mayGo(): boolean {
    return true;
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
    if (this.streams && call.bodyDoneAt === 0)
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
