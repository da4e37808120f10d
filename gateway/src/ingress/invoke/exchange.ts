// One invocation: waits for a slot, sends the request, relays the answer, and judges every way in which that can fail.
//
// Two clocks. The queue has its own (LIMITS.queueMs). The function's (`timeoutMs`) starts when the request is sent to an
// instance and ends with the last byte of the answer, so a cold start never eats the function's time.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Route } from "@fnctl/control-plane/contract/internal";
import { responseCorsHeaders } from "../http/cors.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { setVersion } from "../http/forwarding.ts";
import type { Instance } from "../fleet/instance.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import { ABORTED, Relay } from "./relay.ts";
import { StreamedBody } from "../http/request-body.ts";
import { serverTiming, type RequestContext } from "../http/request-context.ts";
import type { ResponseHead } from "../http/response-head.ts";
import type { VersionFleet, Waiter } from "../fleet/version-fleet.ts";

export interface ExchangeDeps {
  fleet: Fleet;
  metrics: Metrics;
  /** Where a request goes when its version was retired while it waited. */
  reroute: (exchange: Exchange) => void;
  /** The request is over: count it, log it. */
  finished: (context: RequestContext) => void;
  sendProblem: (context: RequestContext, error: PlatformError) => void;
}

export class Exchange extends Relay implements Waiter {
  queueTimer: NodeJS.Timeout | undefined = undefined;
  private readonly deps: ExchangeDeps;
  private readonly route: Route;
  private readonly path: string;
  private readonly headers: string[];
  private readonly body: Buffer | undefined;
  private fleet: VersionFleet | undefined = undefined;
  private instance: Instance | undefined = undefined;
  private deadline: NodeJS.Timeout | undefined = undefined;
  private queuedAt = 0;
  private sentAt = 0;
  private bodyDoneAt = 0;
  private retried = false;

  /** `body`: gathered bytes; undefined: none, or streamed when `context.head.contentLength` says so. */
  constructor(deps: ExchangeDeps, context: RequestContext, route: Route, path: string, headers: string[], body: Buffer | undefined) {
    super(context);
    this.deps = deps;
    this.route = route;
    this.path = path;
    this.headers = headers;
    this.body = body;
  }

  run(fleet: VersionFleet): void {
    this.fleet = fleet;
    this.queuedAt = performance.now();
    const instance = fleet.tryAcquire();
    if (instance !== undefined) return this.send(instance);
    fleet.enqueue(this);
    if (!this.settled) this.deps.fleet.demand(fleet);
  }
  granted(instance: Instance): void {
    this.send(instance);
  }
  refused(error: PlatformError): void {
    this.fail(error);
  }

  private send(instance: Instance): void {
    const { context } = this;
    const now = performance.now();
    this.instance = instance;
    this.sentAt = now;
    context.queueMs = now - this.queuedAt;
    context.instance = instance.lease.instance;
    context.version = instance.lease.version;
    setVersion(this.headers, instance.lease.version);
    // The first request on a fresh instance is the one that paid for its start.
    context.coldMs = instance.coldMs;
    instance.coldMs = 0;
    this.deadline = setTimeout(onDeadline, this.route.timeoutMs, this);
    const streams = this.body === undefined && context.head!.contentLength !== 0;
    if (streams) context.request.once("end", () => (this.bodyDoneAt = performance.now()));
    else this.bodyDoneAt = now;
    if (streams && context.head!.expectsContinue && !this.retried) context.response.writeContinue();
    try {
      instance.pool.dispatch(
        { path: this.path, method: context.method, headers: this.headers, body: streams ? new StreamedBody(context) : (this.body ?? null) },
        this,
      );
    } catch (error) {
      // undici refuses what it cannot put on the wire; readHead should have, so this is ours.
      this.fail(new PlatformError("BAD_REQUEST", "The request cannot be passed on.", { cause: error }));
    }
  }

  protected addHeaders(head: ResponseHead): void {
    const { context } = this;
    context.functionMs = performance.now() - this.sentAt;
    head.headers.push("x-request-id", context.requestId, "server-timing", serverTiming(context));
    const { cors } = this.route;
    const origin = context.head!.origin;
    if (cors !== undefined && origin !== undefined && !head.hasCors)
      head.headers.push(...responseCorsHeaders(cors, origin, context.method));
    if (context.sandboxed) head.headers.push("content-security-policy", "sandbox");
  }

  protected completed(): void {
    this.release();
    this.finish();
  }

  private release(): void {
    clearTimeout(this.deadline);
    const { instance, fleet } = this;
    if (instance === undefined || fleet === undefined) return;
    this.instance = undefined;
    this.deps.fleet.done(fleet, instance);
  }
  private finish(): void {
    this.context.functionMs ||= this.sentAt === 0 ? 0 : performance.now() - this.sentAt;
    this.deps.finished(this.context);
  }

  /** Ends the request with an error: told if the head is not out yet, else by cutting the connection. */
  private fail(error: PlatformError): void {
    if (this.settled) return;
    this.settled = true;
    const { context } = this;
    context.code = error.code;
    if (!this.headWritten && !context.response.headersSent) this.deps.sendProblem(context, error);
    else context.response.destroy();
    this.controller?.abort(ABORTED);
    this.release();
    this.finish();
  }

  protected failed(error: Error): void {
    if (error instanceof PlatformError) return this.fail(error);
    const { instance, fleet } = this;
    if (instance === undefined || fleet === undefined)
      return this.fail(new PlatformError("INTERNAL", "The request failed inside the platform.", { cause: error }));
    if (!this.started) return this.notStarted(fleet, instance);
    if (isBadResponse(error)) {
      if ((error as { code?: string }).code === "HPE_INVALID_CONSTANT")
        this.deps.fleet.close(fleet, instance, "poisoned", error.message, GATEWAY_LIMITS.lostInstanceGraceMs);
      return this.fail(
        new PlatformError("FUNCTION_BAD_RESPONSE", "The function's answer is no valid HTTP.", { hint: "See `fnctl logs`.", cause: error }),
      );
    }
    void this.crashed(fleet, instance, error);
  }

  /** The instance never saw the request, so another may have it, once (SECURITY 4.1). */
  private notStarted(fleet: VersionFleet, instance: Instance): void {
    this.deps.fleet.close(fleet, instance, "broken", "The instance takes no connections.");
    if (this.retried || this.settled)
      return this.fail(
        new PlatformError("FUNCTION_CRASHED", "The function's instance takes no connections.", { hint: "See `fnctl logs`." }),
      );
    this.retried = true;
    this.deps.metrics.retries += 1;
    this.release();
    this.run(fleet);
  }

  /** The connection broke after the request was sent: the instance is suspect, and the control plane may know why. */
  private async crashed(fleet: VersionFleet, instance: Instance, error: Error): Promise<void> {
    clearTimeout(this.deadline);
    this.instance = undefined;
    if (instance.ended === undefined) this.deps.fleet.close(fleet, instance, "broken", error.message, GATEWAY_LIMITS.lostInstanceGraceMs);
    this.deps.fleet.done(fleet, instance);
    const reason = await Promise.race([
      instance.endReason,
      new Promise<string>((resolve) => setTimeout(resolve, GATEWAY_LIMITS.endReasonMs, "").unref()),
    ]);
    this.context.reason = reason || (instance.ended ?? "");
    const facts = this.route.access === "private" && reason !== "" ? { reason } : undefined;
    this.fail(
      new PlatformError("FUNCTION_CRASHED", "The function's instance ended before it answered.", {
        hint: "See `fnctl logs` and `fnctl describe` for the reason.",
        facts,
      }),
    );
  }

  protected clientGone(): void {
    if (this.queueTimer !== undefined) this.fleet?.remove(this);
    this.context.code = "CLIENT_CLOSED";
    if (!this.headWritten) this.context.status = 499;
    this.release();
    this.finish();
  }

  /** The version was retired while this request waited. */
  moveOn(): void {
    this.fleet?.remove(this);
    this.deps.reroute(this);
  }

  /**
   * SECURITY H3: 504, the slot is lost, no new request goes there. But only if it is the function that is late: an instance
   * whose client sends or reads slowly is not punished, else any client could have instances stopped.
   */
  deadlineReached(): void {
    const { fleet, instance } = this;
    if (this.settled || fleet === undefined || instance === undefined) return;
    if (this.bodyDoneAt === 0)
      return this.fail(new PlatformError("REQUEST_TIMEOUT", `The request's body did not arrive within ${this.route.timeoutMs} ms.`));
    const functionHad = performance.now() - this.bodyDoneAt;
    if (!this.pausedByClient && functionHad >= this.route.timeoutMs / 2) {
      this.deps.fleet.close(
        fleet,
        instance,
        "timeout",
        `A request took longer than ${this.route.timeoutMs} ms.`,
        GATEWAY_LIMITS.lostInstanceGraceMs,
      );
    }
    this.fail(
      new PlatformError("FUNCTION_TIMEOUT", `The function did not finish within ${this.route.timeoutMs} ms.`, {
        hint: "Raise `timeout` in fnctl.yaml, or look at what the function waits for with `fnctl logs`.",
      }),
    );
  }
}

const onDeadline = (exchange: Exchange): void => exchange.deadlineReached();

/** undici's words for an answer that is no HTTP, too long, or not as long as it said. */
function isBadResponse(error: Error): boolean {
  const code = (error as { code?: string }).code ?? "";
  return (
    error.name === "HTTPParserError" ||
    code.startsWith("HPE_") ||
    code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH" ||
    code === "UND_ERR_RES_EXCEEDED_MAX_SIZE" ||
    code === "UND_ERR_HEADERS_OVERFLOW" ||
    error.message === "bad response" ||
    error.message === "bad upgrade" ||
    error instanceof TypeError ||
    code.startsWith("ERR_HTTP_") ||
    code === "ERR_INVALID_CHAR"
  );
}
