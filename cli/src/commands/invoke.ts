// Calls a function and streams its answer to stdout.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { functionSchema } from "@fnctl/control-plane/contract/resources";
import { networkError } from "../api/client.ts";
import { functionPath } from "../api/resources.ts";
import { CliError, usage } from "../errors/cli-error.ts";
import { exchange, parseHeaders, targetUrl, type Answer, type Body } from "../invoke/exchange.ts";
import { functionName } from "../project/load-project.ts";
import { addCommand, createSession, type GlobalFlags, type Register, type Session } from "../session.ts";
import { printable } from "../terminal/printable.ts";

interface Flags extends GlobalFlags {
  data?: string;
  dataFile?: string;
  method?: string;
  path: string;
  header: string[];
  fail?: boolean;
  verbose?: boolean;
}
const collect = (value: string, all: string[]) => [...all, value];

export const invoke: Register = (program, io) => {
  addCommand(program, "invoke", "call a function; its answer's body goes to stdout")
    .argument("[name]", "the function; absent: that of fnctl.yaml")
    .option("-d, --data <text>", "body of the request; makes it a POST")
    .option("--data-file <file>", "body from a file, - for stdin; makes it a POST")
    .option("-X, --method <method>", "HTTP method")
    .option("-p, --path <path>", "path and query below the function's address", "/")
    .option("-H, --header <header>", "a request header, `Name: value`; may be repeated", collect, [])
    .option("--fail", "leave with 8 when the status is 400 or more")
    .option("-v, --verbose", "status, headers and time on stderr")
    .action(async (name: string | undefined, flags: Flags) =>
      run(createSession(io, flags), await functionName(io.cwd, name, "invoke"), flags),
    );
};

async function run(session: Session, name: string, flags: Flags): Promise<void> {
  const { io, note } = session;
  if (flags.data !== undefined && flags.dataFile !== undefined) throw usage("Give --data or --data-file, not both.", "fnctl invoke --help");
  const headers = parseHeaders(flags.header);
  const api = await session.api();
  const resource = await api.json(functionSchema, "GET", functionPath(name));
  const body = await openBody(session, flags);
  const method = (flags.method ?? (body === undefined ? "GET" : "POST")).toUpperCase();
  const url = targetUrl(api.url, resource.pathUrl, flags.path);
  if (flags.dryRun === true) return note(`dry run: ${method} ${url.href}`);
  const begun = performance.now();
  const answer = await exchange(api, { url, method, headers, body }, io.signal);
  const firstMs = performance.now() - begun;
  if (flags.verbose === true) note(head(answer));
  await deliver(session, answer, firstMs).catch((cause: unknown) => {
    throw networkError(api.url, cause, answer.requestId, io.signal);
  });
  if (flags.verbose === true) note(`first byte ${firstMs.toFixed(1)} ms, all ${(performance.now() - begun).toFixed(1)} ms`);
  // The reason is in the body, which is on stdout already.
  if (flags.fail === true && answer.status >= 400) {
    throw new CliError("FUNCTION_STATUS", `${name} answered ${answer.status}.`, {
      requestId: answer.requestId,
      next: `fnctl logs ${name} --request-id ${answer.requestId}`,
    });
  }
}

async function openBody({ io }: Session, { data, dataFile }: Flags): Promise<Body | undefined> {
  if (data !== undefined)
    return {
      stream: Readable.from([Buffer.from(data)]),
      length: Buffer.byteLength(data),
      type: looksLikeJson(data) ? "application/json" : "text/plain;charset=utf-8",
    };
  if (dataFile === undefined) return undefined;
  const type = "application/octet-stream";
  if (dataFile === "-") return { stream: io.stdin, length: undefined, type };
  const facts = await stat(dataFile);
  if (!facts.isFile()) throw usage(`${dataFile} is not a file.`, "fnctl invoke --help");
  return { stream: createReadStream(dataFile), length: facts.size, type };
}

function looksLikeJson(data: string): boolean {
  try {
    return typeof JSON.parse(data) === "object";
  } catch {
    return false;
  }
}

/** Writes the body as it arrives; with `--json`, one document when it is complete. */
async function deliver(session: Session, { response, status, requestId }: Answer, firstMs: number): Promise<void> {
  const { stdout, signal } = session.io;
  if (session.json) {
    const bytes = await buffer(response);
    const text = bytes.toString("utf8");
    const isText = Buffer.from(text).equals(bytes);
    const body = { body: isText ? text : bytes.toString("base64"), bodyEncoding: isText ? "utf8" : "base64" };
    return session.result({ status, headers: response.headers, requestId, firstByteMs: Math.round(firstMs), ...body }, "");
  }
  let last: number | undefined;
  response.on("data", (chunk: Buffer) => (last = chunk.at(-1)));
  await pipeline(response, stdout, { end: false, signal });
  if (stdout.isTTY === true && last !== undefined && last !== 0x0a) stdout.write("\n");
}

function head({ response, status }: { response: IncomingMessage; status: number }): string {
  const lines = [`HTTP ${status} ${response.statusMessage ?? ""}`.trimEnd()];
  for (let index = 0; index < response.rawHeaders.length; index += 2)
    lines.push(`${response.rawHeaders[index]}: ${response.rawHeaders[index + 1]}`);
  return lines.map(printable).join("\n");
}
