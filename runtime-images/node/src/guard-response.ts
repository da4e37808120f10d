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
export function checkedResponse(answer: unknown): Response {
  if (!isResponse(answer))
    throw new TypeError(`The handler must return a Response, but returned ${answer === null ? "null" : typeof answer}.`);
  const parts = cached === undefined ? undefined : (answer as unknown as Cached)[cached];
  const status = parts === undefined ? answer.status : parts[0];
  if (typeof status !== "number" || !Number.isInteger(status) || status < 200 || status > 599)
    throw new RangeError(`The Response's status must be a number from 200 to 599, but is ${JSON.stringify(status)}.`);
  const body = parts === undefined ? answer.body : parts[1];
  if ((body instanceof ReadableStream && body.locked) || (parts === undefined && answer.bodyUsed))
    throw new TypeError("The Response's body was used already.");
  // A list is made into Headers, which throws for what is none, now or by the adapter; names in an object are Node's to check.
  if (parts !== undefined && Array.isArray(parts[2])) void answer.headers;
  return answer;
}

/** Another class than the global one (undici or node-fetch as a package) is as good when it has the same parts. */
const isResponse = (answer: unknown): answer is Response =>
  answer instanceof Response || typeof (answer as Response | null | undefined)?.headers?.get === "function";

/** Node throws for a head that cannot be written. The adapter is not told: it goes on writing into nothing. */
export function guardHead(outgoing: ServerResponse): void {
  outgoing.writeHead = writeHead;
}

function writeHead(this: ServerResponse, ...head: unknown[]): ServerResponse {
  try {
    return Reflect.apply(ServerResponse.prototype.writeHead, this, head) as ServerResponse;
  } catch (error) {
    answerFailure(this, error);
    this.write = () => true;
    this.end = () => this;
    this.flushHeaders = () => undefined;
    return this;
  }
}
