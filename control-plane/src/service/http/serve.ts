// Serves small JSON documents between the platform's parts, and between them and whoever watches over them: what is thrown becomes a problem.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { z } from "zod";
import { PROBLEM_TYPE, PlatformError, toProblem } from "../../contract/errors.ts";

export interface Reply {
  status?: number;
  /** Left out: no body. */
  body?: unknown;
}
/** undefined: it has answered, or answers, by itself. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<Reply | undefined> | Reply | undefined;

/** `onError` is told of every refusal, too; `unexpected` picks what nobody foresaw. */
export function serveJson(answer: Answer, onError: (error: unknown) => void = () => undefined): RequestListener {
  return (request, response) => {
    const run = async () => {
      const reply = await answer(request, response);
      if (reply !== undefined) send(response, reply.status ?? (reply.body === undefined ? 204 : 200), "application/json", reply.body);
    };
    run().catch((error: unknown) => {
      const known = error instanceof z.ZodError ? new PlatformError("BAD_REQUEST", z.prettifyError(error)) : error;
      onError(known);
      const problem = toProblem(known);
      send(response, problem.status, PROBLEM_TYPE, problem);
    });
  };
}

/** What has no code is nobody's intended answer. */
export const unexpected =
  (onError: (error: unknown) => void) =>
  (error: unknown): void => {
    if (!(error instanceof PlatformError)) onError(error);
  };

/** A stream that has begun cannot become a problem: its reader sees that it was cut. */
function send(response: ServerResponse, status: number, type: string, body: unknown): void {
  if (response.headersSent) response.destroy();
  else if (body === undefined) response.writeHead(status).end();
  else response.writeHead(status, { "content-type": type }).end(JSON.stringify(body));
}
