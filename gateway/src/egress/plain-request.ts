// One plain HTTP request in absolute form: it takes the same way through as a CONNECT to its host and port, and a connection of its own.
import { request as sendRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { PROBLEM_TYPE, PlatformError, type Problem } from "@fnctl/control-plane/contract/errors";
import type { Dialled } from "./dial.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { endToEnd, lists, trailersOf, valuesOf } from "./message-fields.ts";
import { CLOSED, Passage, breakOff, type TunnelDeps } from "./passage.ts";
import { hostOf, readPlainTarget, type PlainTarget } from "./plain-target.ts";
import { PROXY_AUTHENTICATE, PROXY_STATUS } from "./refusal.ts";
import type { Source } from "./source.ts";

/** RFC 9110 section 7.6.3. */
const VIA = ["via", "1.1 fnctl"];

interface Exchange {
  passage: Passage;
  request: IncomingMessage;
  response: ServerResponse;
}

export function runPlainRequest(
  deps: TunnelDeps,
  source: Source,
  { request, response }: Pick<Exchange, "request" | "response">,
): Promise<void> {
  const passage = new Passage(deps, source, {
    isGone: () => response.destroyed || response.headersSent,
    refuse: (problem) => refusePlain(request, response, problem),
    destroy: (broken) => breakOff(request.socket, broken),
  });
  response.once("close", () => passage.end(CLOSED));
  let target: PlainTarget;
  const read = (): PlainTarget => (target = readPlainTarget(request));
  return passage.run(askedOf(request.url ?? ""), read, (_target, dialled) => exchange({ passage, request, response }, target, dialled));
}

/** For the log: the host and port as they were written, without a path, which may hold what is nobody's to read. */
function askedOf(url: string): string {
  const authority = /^[^/]*\/\/([^/?#]*)/.exec(url)?.[1] ?? "";
  return /:\d*$/.test(authority) ? authority : `${authority}:80`;
}

/** The answer is whole at once, and the connection ends when the body has been read over, so that the reason is not lost to a reset. */
export function refusePlain(request: IncomingMessage, response: ServerResponse, problem: Omit<Problem, "facts">): void {
  const body = JSON.stringify(problem);
  response.writeHead(problem.status, {
    "content-type": PROBLEM_TYPE,
    "content-length": Buffer.byteLength(body),
    connection: "close",
    [PROXY_STATUS.name]: PROXY_STATUS.value,
    ...(problem.code === "METHOD_NOT_ALLOWED" ? { allow: "CONNECT" } : {}),
    ...(problem.status === 407 ? PROXY_AUTHENTICATE : {}),
  });
  response.write(body);
  request.unpipe();
  if (request.readableEnded || !hasBody(request)) return void response.end();
  request.once("end", () => response.end()).resume();
}

const hasBody = ({ rawHeaders }: IncomingMessage): boolean =>
  valuesOf(rawHeaders, "transfer-encoding").length > 0 || valuesOf(rawHeaders, "content-length").some((length) => Number(length) > 0);

function exchange(all: Exchange, target: PlainTarget, { socket, early }: Dialled): void {
  const { passage, request } = all;
  if (early.length > 0) socket.unshift(early);
  const outgoing = sendRequest({
    createConnection: () => socket,
    method: request.method ?? "GET",
    path: target.path,
    headers: requestFields(request, target),
    maxHeaderSize: EGRESS_LIMITS.answerHeadBytes,
    insecureHTTPParser: false,
  });
  const countUp = (): boolean => passage.count(socket.bytesWritten - passage.record.bytesUp, "bytesUp");
  socket.on("data", (chunk: Buffer) => passage.count(chunk.length, "bytesDown"));
  const unanswered = (): void => passage.refuse(noAnswer(target));
  for (const event of ["error", "close"]) outgoing.on(event, unanswered);
  outgoing.once("continue", () => all.response.writeContinue());
  outgoing.once("response", (answer) => {
    outgoing
      .off("close", unanswered)
      .off("error", unanswered)
      .on("error", () => undefined); // the answer ends in its own time, or is cut
    countUp();
    if (isPlain(answer)) relay(all, answer);
    else unanswered();
  });
  // What is sent is known a little later than what came to be sent.
  for (const [emitter, event] of [
    [request, "data"],
    [outgoing, "finish"],
    [socket, "close"],
  ] as const)
    emitter.on(event, countUp);
  socket.resume(); // an operator's proxy was read up to its answer
  sendBody(request, outgoing);
}
/** Nobody asked for another coding than chunks, which alone are taken off here. */
const isPlain = ({ rawHeaders }: IncomingMessage): boolean =>
  valuesOf(rawHeaders, "transfer-encoding").every((value) => value.trim().toLowerCase() === "chunked");
const noAnswer = ({ host, port }: PlainTarget): PlatformError =>
  new PlatformError("UNAVAILABLE", `${host}:${port} did not answer in HTTP/1.`);

function requestFields(request: IncomingMessage, target: PlainTarget): string[] {
  const { rawHeaders, method = "" } = request;
  const framing = ["transfer-encoding", "content-length"].flatMap((name) => valuesOf(rawHeaders, name).map((value) => [name, value]));
  // Without a body, and without this, Node would send an empty one in chunks.
  const none = framing.length === 0 && !["GET", "HEAD", "DELETE", "OPTIONS"].includes(method) ? ["content-length", "0"] : [];
  const takesTrailers = lists(rawHeaders, "te", "trailers") ? ["te", "trailers", "connection", "te, close"] : ["connection", "close"];
  return ["host", hostOf(target), ...endToEnd(rawHeaders), ...framing.flat(), ...none, ...VIA, ...takesTrailers];
}

/** A body that was cut ends the connection that it was sent on, so that nobody takes the part for the whole. */
function sendBody(request: IncomingMessage, outgoing: ClientRequest): void {
  request.once("end", () => outgoing.addTrailers(trailersOf(request.rawTrailers)));
  request.pipe(outgoing);
  if (hasBody(request)) outgoing.flushHeaders();
}

function relay({ passage, request, response }: Exchange, answer: IncomingMessage): void {
  if (response.destroyed || response.headersSent) return void answer.destroy();
  passage.answered();
  const length = valuesOf(answer.rawHeaders, "content-length").flatMap((value) => ["content-length", value]);
  response.sendDate = false;
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? "", [
    ...endToEnd(answer.rawHeaders),
    ...length,
    ...VIA,
    "connection",
    "close",
  ]);
  response.flushHeaders();
  answer.once("end", () => response.addTrailers(trailersOf(answer.rawTrailers)));
  pipeline(answer, response, (error) => {
    if (error) return passage.end("upstream-error");
    // Whoever has its whole answer need not read the rest of the request.
    if (!request.readableEnded) request.unpipe();
  });
}
