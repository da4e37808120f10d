// Web-standard handlers, on @hono/node-server's lazy Request and Response (undici's own cost several times the rest of a request).
import { getRequestListener } from "@hono/node-server";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { PROBLEM_TYPE, describe, functionError } from "./failures.ts";
import type { FetchHandler } from "./handler-kind.ts";
import { requestContext } from "./request-context.ts";

/**
 * Second and third argument of `fetch`: `env` and `executionCtx` of a Hono app, `ctx` of everyone else.
 * `incoming` and `outgoing` are what Hono's own Node helpers (conninfo, early hints) look for.
 */
class FetchContext {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    this.incoming = incoming;
    this.outgoing = outgoing;
  }
  get requestId(): string | undefined {
    return requestContext.getStore()?.requestId;
  }
  getRemainingTimeInMillis(): number | undefined {
    return requestContext.getStore()?.remainingMs();
  }
  /** The instance stays alive between requests anyway; this only keeps a rejection from ending it. */
  waitUntil(promise: Promise<unknown>): void {
    promise.catch((error: unknown) => console.error(describe(error)));
  }
  passThroughOnException(): void {}
}

/** Puts the lightweight Request and Response in the globals' place; run in the idle state, before any import of user code. */
export function warmFetch(): void {
  getRequestListener(() => new Response(null));
}

export function serveFetch(handler: FetchHandler): RequestListener {
  const listener = getRequestListener(
    (request, env) => {
      const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse };
      const context = new FetchContext(incoming, outgoing);
      const answer: unknown = handler(request, context, context);
      return answer instanceof Promise ? answer.then(asResponse) : asResponse(answer);
    },
    { errorHandler: failureResponse, hostname: "localhost" },
  );
  return (incoming, outgoing) => {
    // What the client's own connection was; Request.url, Express' req.secure and others read it from the socket.
    (incoming.socket as { encrypted?: boolean }).encrypted = incoming.headers["x-forwarded-proto"] === "https";
    if (incoming.method === "HEAD") endAtFirstByte(outgoing);
    void listener(incoming, outgoing);
  };
}

function asResponse(answer: unknown): Response {
  // Another class than the global one (undici or node-fetch as a package) is as good when it has the same parts.
  if (answer instanceof Response || typeof (answer as Response | undefined)?.headers?.get === "function") return answer as Response;
  throw new TypeError(`The handler must return a Response, but returned ${answer === null ? "null" : typeof answer}.`);
}

function failureResponse(error: unknown): Response {
  if (error instanceof Error && error.name === "RequestError") return new Response(null, { status: 400 });
  console.error(describe(error));
  return new Response(functionError(), { status: 500, headers: { "content-type": PROBLEM_TYPE } });
}

/** An answer to HEAD has no body (RFC 9110 section 9.3.2): a stream given for it is cancelled, not read to an end it may not have. */
function endAtFirstByte(outgoing: ServerResponse): void {
  outgoing.flushHeaders = () => void outgoing.end();
  outgoing.write = () => {
    outgoing.end();
    return false;
  };
}
