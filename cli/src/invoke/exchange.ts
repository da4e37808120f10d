// Makes one call of a function. It uses node:http, not fetch: the function's own redirects, encodings and statuses are shown as they are,
// any method may carry a body, and no time limit but the platform's applies (fetch gives up after 300 s).
import { randomUUID } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { networkError, type ApiClient } from "../api/client.ts";
import { usage } from "../errors/cli-error.ts";
import { CLI_VERSION } from "../version.ts";

export interface Body {
  stream: Readable;
  /** Undefined: the body is sent chunked. */
  length: number | undefined;
  type: string;
}
export interface Call {
  url: URL;
  method: string;
  headers: readonly (readonly [string, string])[];
  body: Body | undefined;
}
export interface Answer {
  response: IncomingMessage;
  status: number;
  requestId: string;
}

/** Joins the context's address and the function's path, so that a call works through a tunnel and the token is sent to no other address. */
export function targetUrl(base: string, pathUrl: string, path: string): URL {
  const prefix = new URL(pathUrl).pathname.replace(/\/$/, "");
  return new URL(`${new URL(base).origin}${prefix}${path.startsWith("/") ? "" : "/"}${path}`);
}

export function parseHeaders(given: readonly string[]): [string, string][] {
  return given.map((header) => {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*([^\r\n\0]*)$/.exec(header);
    if (match === null) throw usage(`--header is not \`Name: value\`: ${header}`, `fnctl invoke NAME -H "content-type: text/plain"`);
    return [match[1] ?? "", match[2] ?? ""];
  });
}

function requestHeaders(token: string | undefined, requestId: string, { headers, body }: Call): Record<string, string> {
  const own: Record<string, string> = { "user-agent": `fnctl/${CLI_VERSION}`, "x-request-id": requestId };
  if (token !== undefined) own["authorization"] = `Bearer ${token}`;
  if (body !== undefined) own["content-type"] = body.type;
  if (body?.length !== undefined) own["content-length"] = String(body.length);
  for (const [name, value] of headers) own[name.toLowerCase()] = value;
  return own;
}

/** Resolves with the head of the answer; its body is still to be read. */
export async function exchange(api: ApiClient, call: Call, signal: AbortSignal): Promise<Answer> {
  const sentId = randomUUID();
  const start = call.url.protocol === "https:" ? httpsRequest : httpRequest;
  const request = start(call.url, { method: call.method, headers: requestHeaders(api.token, sentId, call), signal });
  const answered = new Promise<IncomingMessage>((resolve, reject) => request.on("response", resolve).on("error", reject));
  if (call.body === undefined) request.end();
  // An early answer, such as 413, ends the sending; that answer is used, and the broken pipe is ignored.
  else pipeline(call.body.stream, request, { signal }).catch(() => undefined);
  const response = await answered.catch((cause: unknown) => {
    throw networkError(api.url, cause, sentId, signal);
  });
  return { response, status: response.statusCode ?? 0, requestId: String(response.headers["x-request-id"] ?? sentId) };
}
