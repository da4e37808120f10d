// Puts records in the place of console.*, process.stdout and process.stderr.
import { Writable } from "node:stream";
import { formatWithOptions } from "node:util";
import { createLogPipe, type LogPipe } from "./log-pipe.ts";
import { encodeRecord, type Level } from "./log-records.ts";
import { requestContext } from "./request-context.ts";

const EXIT_FLUSH_MS = 200;
const CONSOLE_LEVELS = { debug: "debug", log: "info", info: "info", warn: "warn", error: "error", trace: "debug" } as const;

export interface Output {
  log(level: Level, message: string): void;
}

/** Must run before anything touches process.stdout, whose own stream would block on a full pipe. */
export function captureOutput(): Output {
  const note = (lines: number): string =>
    encodeRecord("warn", `${lines} log lines were dropped, because they came faster than they could be taken.`);
  const out = createLogPipe(1, note);
  const err = createLogPipe(2, note);
  const pipeOf = (level: Level): LogPipe => (level === "warn" || level === "error" ? err : out);
  const log = (level: Level, message: string): void => pipeOf(level).write(encodeRecord(level, message), currentRequest());

  const streams = [
    replaceStream("stdout", 1, (line) => out.write(encodeRecord("info", line), currentRequest())),
    replaceStream("stderr", 2, (line) => err.write(encodeRecord("error", line), currentRequest())),
  ];
  for (const [method, level] of Object.entries(CONSOLE_LEVELS)) {
    const format = (args: unknown[]): string => formatWithOptions({ colors: false }, ...args);
    console[method as "log"] =
      method === "trace" ? (...args) => log(level, stackTrace(format(args))) : (...args) => log(level, format(args));
  }
  process.on("exit", () => {
    for (const stream of streams) stream.flushLine();
    out.flushSync(EXIT_FLUSH_MS);
    err.flushSync(EXIT_FLUSH_MS);
  });
  return { log };
}

const currentRequest = (): string | undefined => requestContext.getStore()?.requestId;

function stackTrace(message: string): string {
  const holder = { name: "Trace", message, stack: "" };
  Error.captureStackTrace(holder, stackTrace);
  return holder.stack;
}

function replaceStream(name: "stdout" | "stderr", fd: number, writeLine: (line: string) => void): LineStream {
  const stream = Object.assign(new LineStream(writeLine), { fd, isTTY: false });
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
  return stream;
}

/** Turns chunks into lines. Never full: the pipe behind it drops instead of waiting. */
class LineStream extends Writable {
  #rest = "";
  readonly #writeLine: (line: string) => void;
  constructor(writeLine: (line: string) => void) {
    super({ decodeStrings: false });
    this.#writeLine = writeLine;
  }
  override _write(chunk: string | Buffer, _encoding: BufferEncoding, done: () => void): void {
    const lines = (this.#rest + chunk.toString()).split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, 64 * 1024);
    for (const line of lines) this.#writeLine(line);
    done();
  }
  flushLine(): void {
    if (this.#rest !== "") this.#writeLine(this.#rest);
    this.#rest = "";
  }
}
