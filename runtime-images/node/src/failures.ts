// What a client is told when the function fails: that it failed, and nothing of its inside. The stack goes to the log.
import type { ServerResponse } from "node:http";
import { inspect } from "node:util";
import { requestContext } from "./request-context.ts";

export const PROBLEM_TYPE = "application/problem+json";

/** Body of the answer; the request id is what the owner looks for in the log. */
export const functionError = (): string =>
  JSON.stringify({
    type: "urn:fnctl:error:FUNCTION_ERROR",
    title: "The function failed",
    status: 500,
    code: "FUNCTION_ERROR",
    detail: "The function threw an error; its log has the details.",
    requestId: requestContext.getStore()?.requestId,
  });

/**
 * Answers 500, or cuts the connection when a part of the answer is out: a cut-off body must not look complete. A whole answer stays as it is.
 */
export function answerFailure(outgoing: ServerResponse, error: unknown): void {
  console.error(describe(error));
  if (outgoing.writableEnded) return;
  if (outgoing.headersSent) {
    outgoing.destroy();
    return;
  }
  for (const name of outgoing.getHeaderNames()) outgoing.removeHeader(name);
  outgoing.statusMessage = ""; // it may be what could not be written
  const body = functionError();
  // The length too: somebody else's may be remembered.
  outgoing.writeHead(500, { "content-type": PROBLEM_TYPE, "content-length": Buffer.byteLength(body) }).end(body);
}

/** The stack as its author wants to read it: without frames of Node and of this bootstrap. */
export function describe(error: unknown): string {
  try {
    const text = inspect(error);
    return error instanceof Error ? userStack(text) : text;
  } catch {
    return "An error was thrown that cannot be shown."; // its own code shows it, and throws
  }
}

export function userStack(stack: string): string {
  const lines = stack.split("\n");
  return lines.filter((line) => !/^\s+at .*(?:\(?node:|\/opt\/fnctl\/|\/bootstrap\.mjs)/.test(line)).join("\n");
}
