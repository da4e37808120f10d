// One plain HTTP request in absolute form: it takes the same way through as a CONNECT to its host and port, and a connection of its own.
import { request as sendRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { PROBLEM_TYPE, PlatformError, type Problem } from "@fnctl/control-plane/contract/errors";
import { Body } from "./body.ts";
import type { Dialled } from "./dial.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { endToEnd, isReason, lists, trailersOf, valuesOf } from "./message-fields.ts";
import { CLOSED, Passage, breakOff, type TunnelDeps } from "./passage.ts";
import { hostOf, readPlainTarget, type PlainTarget } from "./plain-target.ts";
import { PROXY_AUTHENTICATE, PROXY_STATUS } from "./refusal.ts";
import type { Source } from "./source.ts";

/** RFC 9110 section 7.6.3. */
const VIA = ["via", "1.1 fnctl"];

interface Exchange {
  deps: TunnelDeps;
  source: Source;
  passage: Passage;
  request: IncomingMessage;
  body: Body;
  response: ServerResponse;
}

export function runPlainRequest(
  deps: TunnelDeps,
  source: Source,
  { request, response }: Pick<Exchange, "request" | "response">,
): Promise<void> {
  const passage = new Passage(deps, source, {
    isGone: () => response.destroyed || response.headersSent,
    refuse(problem) {
      body.stop();
      refusePlain(request, response, problem);
    },
    destroy: (broken) => breakOff(request.socket, broken),
  });
  response.once("close", () => passage.end(CLOSED));
  const body = new Body(request, waitFor({ deps, source }));
  let target: PlainTarget;
  const read = (): PlainTarget => (target = readPlainTarget(request));
  return passage.run(askedOf(request.url ?? ""), read, (_target, dialled) =>
    exchange({ deps, source, passage, request, body, response }, target, dialled),
  );
}

const waitFor =
  ({ deps, source }: Pick<Exchange, "deps" | "source">) =>
  (pieces: number): number =>
    deps.pieces.wait(source.settings.tenantId ?? source.instance, undefined, pieces);

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
  outgoing.maxHeadersCount = 0; // as for requests: none is dropped
  const countUp = (): boolean => passage.count(Math.max(0, socket.bytesWritten - passage.record.bytesUp), "bytesUp");
  socket.on("data", (chunk: Buffer) => passage.count(chunk.length, "bytesDown"));
  const unanswered = (): void => passage.refuse(noAnswer(target));
  for (const event of ["error", "close"]) outgoing.on(event, unanswered);
  outgoing.once("continue", () => all.response.writeContinue());
  let interim = 0;
  outgoing.on("information", () => (interim += 1) > EGRESS_LIMITS.interimAnswers && void socket.destroy());
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
  outgoing.on("finish", countUp);
  socket.on("close", countUp);
  socket.resume(); // an operator's proxy was read up to its answer
  sendBody(all, outgoing, countUp);
}
/** Nobody asked for another coding than chunks, which alone are taken off here; a last answer's status is 200 or more. */
const isPlain = ({ statusCode = 0, rawHeaders }: IncomingMessage): boolean =>
  statusCode >= 200 && valuesOf(rawHeaders, "transfer-encoding").every((value) => value.trim().toLowerCase() === "chunked");
const noAnswer = ({ host, port }: PlainTarget): PlatformError =>
  new PlatformError("UNAVAILABLE", `${host}:${port} did not answer in HTTP/1.`);

function requestFields(request: IncomingMessage, target: PlainTarget): string[] {
  const { rawHeaders, method = "" } = request;
  const framing = ["transfer-encoding", "content-length"].flatMap((name) => valuesOf(rawHeaders, name).map((value) => [name, value]));
  const hasTrailers = valuesOf(rawHeaders, "transfer-encoding").length > 0;
  // Without a body, and without this, Node would send an empty one in chunks.
  const none = framing.length === 0 && !["GET", "HEAD", "DELETE", "OPTIONS"].includes(method) ? ["content-length", "0"] : [];
  const takesTrailers = lists(rawHeaders, "te", "trailers") ? ["te", "trailers", "connection", "te, close"] : ["connection", "close"];
  return ["host", hostOf(target), ...endToEnd(rawHeaders, { hasTrailers }), ...framing.flat(), ...none, ...VIA, ...takesTrailers];
}

/** A body that was cut ends the connection that it was sent on, so that nobody takes the part for the whole. */
function sendBody({ request, body }: Exchange, outgoing: ClientRequest, countUp: () => void): void {
  body.sendTo(outgoing, { sent: countUp, end: () => outgoing.addTrailers(trailersOf(request.rawTrailers)) });
  if (hasBody(request)) outgoing.flushHeaders();
}

function relay(all: Exchange, answer: IncomingMessage): void {
  const { passage, request, body, response } = all;
  if (response.destroyed || response.headersSent) return void answer.destroy();
  passage.answered();
  const { statusCode = 502, statusMessage = "", rawHeaders } = answer;
  const length = valuesOf(rawHeaders, "content-length").flatMap((value) => ["content-length", value]);
  response.sendDate = false;
  response.on("error", () => undefined); // it closes, too
  const fields = [...endToEnd(rawHeaders, { hasTrailers: hasTrailers(request, answer) }), ...length, ...VIA, "connection", "close"];
  response.writeHead(statusCode, isReason(statusMessage) ? statusMessage : "", fields);
  response.flushHeaders();
  new Body(answer, waitFor(all)).sendTo(response, { end: () => response.addTrailers(trailersOf(answer.rawTrailers)) });
  // Whoever has its whole answer need not read the rest of the request.
  response.once("finish", () => body.stop());
  answer.once("close", () => answer.complete || passage.end("upstream-error"));
}
/** Whether the answer goes on in chunks, which alone have trailers behind them. */
const hasTrailers = ({ method, httpVersion }: IncomingMessage, { statusCode = 0, rawHeaders }: IncomingMessage): boolean =>
  httpVersion === "1.1" && method !== "HEAD" && ![204, 304].includes(statusCode) && valuesOf(rawHeaders, "content-length").length === 0;
