// A web-standard answer is checked by whoever writes it to the wire: the adapter creates a `Response` without looking at it, and tells the
// client what is wrong. Here it is found out before the adapter comes to it, and what only Node finds when the head is written ends here too.
import { ServerResponse } from "node:http";
import { answerFailure } from "./failures.ts";

/** The adapter's mark on a `Response` that nobody has looked into: `[status, body, headers]`. */
let cached: symbol | undefined;
interface Cached {
  [cache: symbol]: [status: unknown, body: unknown, headers: unknown] | undefined;
}

/** Run when the adapter's `Response` has taken its place. */
export function learnResponse(): void {
  cached = Object.getOwnPropertySymbols(new Response(null)).find(({ description }) => description === "cache");
}

/** Throws what the Fetch standard would have thrown when the `Response` was made, and for a body that cannot be sent any more. */
export function checkedResponse(answer: unknown, outgoing: ServerResponse): Response {
  if (!isResponse(answer))
    throw new TypeError(`The handler must return a Response, but returned ${answer === null ? "null" : typeof answer}.`);
  const parts = cached === undefined ? undefined : (answer as unknown as Cached)[cached];
  const [status, body, headers] = parts ?? [answer.status, answer.body, undefined];
  if (typeof status !== "number" || !Number.isInteger(status) || status < 200 || status > 599)
    throw new RangeError(`The Response's status must be a number from 200 to 599, but is ${JSON.stringify(status)}.`);
  if ((body instanceof ReadableStream && body.locked) || (parts === undefined && answer.bodyUsed))
    throw new TypeError("The Response's body was used already.");
  // A list is made into Headers, which throws for what is none, now or by the adapter; names in an object are Node's to check.
  if (Array.isArray(headers)) void answer.headers;
  return parts === undefined && answer.body !== null ? watched(answer, answer.body, outgoing) : answer;
}

/** Another class than the global one (undici or node-fetch as a package) is as good when it has the same parts. */
const isResponse = (answer: unknown): answer is Response =>
  answer instanceof Response || typeof (answer as Response | null | undefined)?.headers?.get === "function";

/** Of such a one the adapter reads the first bytes before it writes the head, and would tell the client what is wrong with them. */
function watched({ status, headers }: Response, body: ReadableStream, outgoing: ServerResponse): Response {
  if (typeof body.getReader !== "function") throw new TypeError("The Response's body is no ReadableStream.");
  const getReader = () => {
    const reader = body.getReader();
    const read = () =>
      reader.read().catch((error: unknown) => {
        fail(outgoing, error);
        return { done: true, value: undefined };
      });
    return { read, cancel: (reason: unknown) => reader.cancel(reason), closed: reader.closed.catch(() => undefined) };
  };
  return { status, headers, body: { getReader } } as unknown as Response;
}

/** Node throws for a head that cannot be written. */
export function guardHead(outgoing: ServerResponse): void {
  outgoing.writeHead = writeHead;
}

function writeHead(this: ServerResponse, ...head: unknown[]): ServerResponse {
  try {
    return Reflect.apply(ServerResponse.prototype.writeHead, this, head) as ServerResponse;
  } catch (error) {
    fail(this, error);
    return this;
  }
}

/** The answer is the failure, and the adapter, which is not told, goes on writing into nothing. */
function fail(outgoing: ServerResponse, error: unknown): void {
  answerFailure(outgoing, error);
  outgoing.writeHead = () => outgoing;
  outgoing.write = () => true;
  outgoing.end = () => outgoing;
  outgoing.flushHeaders = () => undefined;
}
