// `/v1/*`: streamed to the control plane's API listener and back. It authenticates and limits itself; nothing is judged here.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Pool } from "undici";
import { ABORTED, Relay } from "./relay.ts";
import { StreamedBody } from "../http/request-body.ts";
import type { RequestContext } from "../http/request-context.ts";
import type { ResponseHead } from "../http/response-head.ts";

export interface ApiRelayDeps {
  pool: Pool;
  finished: (context: RequestContext) => void;
  sendProblem: (context: RequestContext, error: PlatformError) => void;
}

export class ApiRelay extends Relay {
  private readonly deps: ApiRelayDeps;
  private sentAt = 0;

  constructor(deps: ApiRelayDeps, context: RequestContext) {
    super(context);
    this.deps = deps;
  }
  run(headers: string[]): void {
    const { context } = this;
    const hasBody = context.head!.contentLength !== 0;
    this.sentAt = performance.now();
    if (hasBody && context.head!.expectsContinue) context.response.writeContinue();
    this.deps.pool.dispatch(
      { path: context.target, method: context.method, headers, body: hasBody ? new StreamedBody(context) : null },
      this,
    );
  }
  protected addHeaders(head: ResponseHead): void {
    head.headers.push("x-request-id", this.context.requestId);
  }
  protected completed(): void {
    this.finish();
  }
  protected failed(error: Error): void {
    this.settled = true;
    const { context } = this;
    const problem =
      error instanceof PlatformError
        ? error
        : new PlatformError("UNAVAILABLE", "The platform's API is not reachable.", {
            hint: "Functions go on answering; try again in a few seconds.",
          });
    context.code = problem.code;
    if (this.headWritten || context.response.headersSent) context.response.destroy();
    else this.deps.sendProblem(context, problem);
    this.controller?.abort(ABORTED);
    this.finish();
  }
  protected clientGone(): void {
    this.context.code = "CLIENT_CLOSED";
    if (!this.headWritten) this.context.status = 499;
    this.finish();
  }
  private finish(): void {
    this.context.functionMs = performance.now() - this.sentAt;
    this.deps.finished(this.context);
  }
}
