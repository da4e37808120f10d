// Serves small JSON documents to other parts of the platform and to monitoring; a thrown error becomes a problem document.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { z } from "zod";
import { PROBLEM_TYPE, PlatformError, toProblem } from "../../contract/errors.ts";

export interface Reply {
  status?: number;
  /** The answer has no body if this is left out. */
  body?: unknown;
}
/** Handles one request; undefined means that it answers by itself. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<Reply | undefined> | Reply | undefined;

/** `onError` also gets every refusal; wrap it in `unexpected` to get only unforeseen errors. */
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

/** Passes on only errors without a code, because coded errors are intended answers. */
export const unexpected =
  (onError: (error: unknown) => void) =>
  (error: unknown): void => {
    if (!(error instanceof PlatformError)) onError(error);
  };

/** An answer that has begun cannot become a problem document, so it is cut, which its reader notices. */
function send(response: ServerResponse, status: number, type: string, body: unknown): void {
  if (response.headersSent) response.destroy();
  else if (body === undefined) response.writeHead(status).end();
  else response.writeHead(status, { "content-type": type }).end(JSON.stringify(body));
}
