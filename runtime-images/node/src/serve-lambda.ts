// Lambda style `handler(event, context)`: events and answers in API Gateway's payload format 2.0.
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerFailure } from "./failures.ts";
import type { LambdaHandler } from "./handler-kind.ts";
import { requestContext } from "./request-context.ts";
import type { Handle } from "./running.ts";

const TEXT_TYPE = /^(?:text\/|application\/(?:[\w.+-]*\+)?(?:json|xml|javascript|x-www-form-urlencoded)\b)/i;

interface LambdaAnswer {
  statusCode?: number;
  headers?: Record<string, string | number | boolean>;
  multiValueHeaders?: Record<string, string[]>;
  cookies?: string[];
  body?: unknown;
  isBase64Encoded?: boolean;
}
export interface LambdaNames {
  function: string;
  version: string;
  memoryMib: number;
}

export function serveLambda(handler: LambdaHandler, names: LambdaNames): Handle {
  return (incoming, outgoing) =>
    invoke(handler, names, incoming)
      .then((answer) => send(outgoing, answer))
      .catch((error: unknown) => answerFailure(outgoing, error));
}

async function invoke(handler: LambdaHandler, names: LambdaNames, incoming: IncomingMessage): Promise<unknown> {
  const event = toEvent(incoming, await readBody(incoming));
  const context = lambdaContext(names);
  // Three declared parameters: Node 8 style, answered through the callback unless a promise comes back.
  if (handler.length < 3) return handler(event, context);
  return new Promise((resolve, reject) => {
    const result = handler(event, context, (error, value) => (error === null || error === undefined ? resolve(value) : reject(error)));
    if (result instanceof Promise) result.then(resolve, reject);
  });
}

function lambdaContext(names: LambdaNames): Record<string, unknown> {
  const current = requestContext.getStore();
  return {
    awsRequestId: current?.requestId ?? "",
    functionName: names.function,
    functionVersion: names.version,
    memoryLimitInMB: String(names.memoryMib),
    callbackWaitsForEmptyEventLoop: false,
    getRemainingTimeInMillis: () => current?.remainingMs() ?? 0,
  };
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

function toEvent(incoming: IncomingMessage, body: Buffer): Record<string, unknown> {
  const target = incoming.url ?? "/";
  const mark = target.indexOf("?");
  const rawPath = mark === -1 ? target : target.slice(0, mark);
  const rawQueryString = mark === -1 ? "" : target.slice(mark + 1);
  const headers = Object.fromEntries(
    Object.entries(incoming.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(",") : value]),
  );
  const isText = TEXT_TYPE.test(headers["content-type"] ?? "text/plain") && headers["content-encoding"] === undefined;
  const cookies = headers["cookie"]?.split("; ");
  const now = new Date();
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString,
    ...(cookies === undefined ? {} : { cookies }),
    headers,
    ...(rawQueryString === "" ? {} : { queryStringParameters: queryParameters(rawQueryString) }),
    requestContext: {
      domainName: headers["host"] ?? "",
      http: {
        method: incoming.method,
        path: rawPath,
        protocol: `HTTP/${incoming.httpVersion}`,
        sourceIp: headers["x-forwarded-for"]?.split(",")[0]?.trim() ?? "",
        userAgent: headers["user-agent"] ?? "",
      },
      requestId: requestContext.getStore()?.requestId ?? "",
      routeKey: "$default",
      stage: "$default",
      time: now.toISOString(),
      timeEpoch: now.getTime(),
    },
    ...(body.length === 0 ? {} : { body: body.toString(isText ? "utf8" : "base64") }),
    isBase64Encoded: body.length > 0 && !isText,
  };
}

/** Values of a repeated name are joined by commas, as API Gateway does. */
function queryParameters(query: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query)) result[name] = Object.hasOwn(result, name) ? `${result[name]},${value}` : value;
  return result;
}

/** An object with a number `statusCode` is a whole answer; any other value is the body of a 200, JSON unless it is a string. */
function send(outgoing: ServerResponse, answer: unknown): void {
  const whole = isWhole(answer)
    ? answer
    : {
        statusCode: 200,
        headers: { "content-type": "application/json" },
        body: typeof answer === "string" ? answer : JSON.stringify(answer),
      };
  for (const [name, value] of Object.entries(whole.headers ?? {})) outgoing.setHeader(name, String(value));
  for (const [name, values] of Object.entries(whole.multiValueHeaders ?? {})) outgoing.setHeader(name, values);
  if (whole.cookies !== undefined && whole.cookies.length > 0) outgoing.setHeader("set-cookie", whole.cookies);
  const text =
    typeof whole.body === "string" ? whole.body : whole.body === undefined || whole.body === null ? "" : JSON.stringify(whole.body);
  const body = Buffer.from(text, whole.isBase64Encoded === true ? "base64" : "utf8");
  if (!outgoing.hasHeader("content-type") && body.length > 0) outgoing.setHeader("content-type", "text/plain; charset=utf-8");
  outgoing.statusCode = whole.statusCode ?? 200;
  // Content-Length from end() with the whole body; a 204 or 304 gets none (RFC 9110 section 8.6).
  outgoing.end(body);
}

const isWhole = (answer: unknown): answer is LambdaAnswer =>
  typeof answer === "object" && answer !== null && typeof (answer as LambdaAnswer).statusCode === "number";
