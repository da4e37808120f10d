// Web-standard handlers, on @hono/node-server's lazy Request and Response (undici's own cost several times the rest of a request).
import { RequestError, getRequestListener } from "@hono/node-server";
import type { IncomingMessage, ServerResponse } from "node:http";
import { PROBLEM_TYPE, answerFailure, describe, functionError } from "./failures.ts";
import { checkedResponse, guardHead, learnResponse } from "./guard-response.ts";
import type { FetchHandler } from "./handler-kind.ts";
import { requestContext } from "./request-context.ts";
import type { Handle } from "./running.ts";

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
  learnResponse();
}

export function serveFetch(handler: FetchHandler): Handle {
  const listener = getRequestListener(
    (request, env) => {
      const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse };
      const context = new FetchContext(incoming, outgoing);
      const answer: unknown = handler(request, context, context);
      return answer instanceof Promise ? answer.then((value) => checkedResponse(value, outgoing)) : checkedResponse(answer, outgoing);
    },
    { errorHandler: failureResponse, hostname: "localhost" },
  );
  return (incoming, outgoing) => {
    // What the client's own connection was; Request.url, Express' req.secure and others read it from the socket.
    (incoming.socket as { encrypted?: boolean }).encrypted = incoming.headers["x-forwarded-proto"] === "https";
    if (incoming.method === "HEAD") endAtFirstByte(outgoing);
    guardHead(outgoing);
    return listener(incoming, outgoing).catch((error: unknown) => answerFailure(outgoing, error));
  };
}

function failureResponse(error: unknown): Response {
  if (error instanceof RequestError) return new Response(null, { status: 400 });
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
