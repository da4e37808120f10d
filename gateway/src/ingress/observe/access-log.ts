// Writes one JSON line per request, in blocks. A slow disk loses log records but never delays requests.
import { write } from "node:fs";
import { GATEWAY_LIMITS } from "../limits.ts";
import { formatMs } from "../measure/milliseconds.ts";
import type { Metrics } from "../measure/metrics.ts";
import type { Call } from "../call/call.ts";
import { createRotatingFile, type FileLimits, type RotatingFile } from "./rotating-file.ts";

export interface AccessLog {
  record(call: Call): void;
  /** Resolves when all records so far have been written. */
  flush(): Promise<void>;
}

// Printable ASCII except `"` and `\` needs no escaping.
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
// Characters to escape: controls, C1, and the two line separators that JSON allows unescaped (SECURITY D10); for simplicity also everything
// else beyond ASCII.
const UNSAFE = /[^\x20-\x7e]/g;

function quote(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

let second = -1;
let secondText = "";
/** ISO 8601. Formatting is slow, so all but the milliseconds is kept from the last one in the same second. */
function isoTime(ms: number): string {
  const rest = ms % 1_000;
  if (ms - rest !== second) {
    second = ms - rest;
    secondText = new Date(second).toISOString().slice(0, -4);
  }
  return `${secondText}${rest < 10 ? "00" : rest < 100 ? "0" : ""}${rest}Z`;
}

/** The path without query values, because these may hold tokens and personal data. */
function loggedPath(target: string): string {
  const query = target.indexOf("?");
  return (query === -1 ? target : target.slice(0, query)).slice(0, GATEWAY_LIMITS.logPathChars);
}

/** Ids, slugs and codes are not escaped: their form was checked on input, so they contain no character that JSON escapes. */
export function formatRecord(call: Call): string {
  const route = call.route;
  let line = `{"time":"${isoTime(call.acceptedAt)}","requestId":"${call.requestId}"`;
  if (route !== undefined) line += `,"tenant":"${route.tenant}","function":"${route.function}"`;
  if (call.version !== 0) line += `,"version":${call.version}`;
  if (call.instance !== "") line += `,"instance":${quote(call.instance)}`;
  line += `,"method":${quote(call.method)},"path":${quote(loggedPath(call.target))},"status":${call.status},"bytesIn":${call.bytesIn},"bytesOut":${call.bytesOut}`;
  line += `,"durationMs":${formatMs(call.durationMs)},"queueMs":${formatMs(call.queueMs)},"coldMs":${formatMs(call.coldMs)},"functionMs":${formatMs(call.functionMs)}`;
  if (call.code !== "") line += `,"code":"${call.code}"`;
  if (call.reason !== "") line += `,"reason":${quote(call.reason.slice(0, 200))}`;
  return `${line}}\n`;
}

/** `target`: a file to append to, or `-` for stdout. A file is rotated at its maximum size, and a few older ones are kept. */
export function createAccessLog(target: string, metrics: Metrics, limits: FileLimits = GATEWAY_LIMITS.accessLog): AccessLog {
  return new BufferedLog(target === "-" ? undefined : createRotatingFile(target, limits), metrics);
}

/** Encodes each line at once into the current block, so that no string lives long enough to cost garbage collection time. */
class BufferedLog implements AccessLog {
  private readonly file: RotatingFile | undefined;
  private readonly metrics: Metrics;
  private block: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  /** A block that was written and can be filled again; a new one costs the kernel its pages. */
  private spare: Buffer | undefined = undefined;
  private used = 0;
  private readonly full: Buffer[] = [];
  private writing = false;
  private timer: NodeJS.Timeout | undefined = undefined;
  private idle: (() => void)[] = [];

  constructor(file: RotatingFile | undefined, metrics: Metrics) {
    this.file = file;
    this.metrics = metrics;
  }

  record(call: Call): void {
    const line = formatRecord(call);
    if (this.used + line.length > BLOCK_BYTES) this.rotate();
    if (this.full.length * BLOCK_BYTES >= GATEWAY_LIMITS.logBacklogBytes) {
      this.metrics.logDropped += 1;
      return;
    }
    this.used += this.block.write(line, this.used, "latin1");
    if (this.used >= GATEWAY_LIMITS.logFlushBytes) this.rotate();
    else this.timer ??= setTimeout(() => this.rotate(), GATEWAY_LIMITS.logFlushMs).unref();
  }

  private rotate(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.used > 0) {
      this.full.push(this.block.subarray(0, this.used));
      this.block = this.spare ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
      this.spare = undefined;
      this.used = 0;
    }
    if (!this.writing) this.writeNext();
  }

  private writeNext(): void {
    const block = this.full.shift();
    this.writing = block !== undefined;
    if (block !== undefined) return this.begin(block);
    for (const done of this.idle.splice(0)) done();
  }
  private begin(block: Buffer): void {
    if (this.file === undefined) return this.writeBlock(1, block);
    this.file.roomFor(block.length).then(
      (fd) => this.writeBlock(fd, block),
      () => {
        // The file could not be rotated, so the block is dropped: the file must not grow beyond its size.
        this.metrics.logDropped += 1;
        this.writeNext();
      },
    );
  }
  private writeBlock(fd: number, block: Buffer): void {
    write(fd, block, 0, block.length, null, (error, written) => {
      // The target is a pipe whose reader is slow.
      if (error?.code === "EAGAIN") return void setTimeout(() => this.writeBlock(fd, block), 20);
      // A full disk must not stop the service: the block is given up and counted.
      if (error) this.metrics.logDropped += 1;
      else if (written < block.length) return this.writeBlock(fd, block.subarray(written));
      this.spare ??= Buffer.from(block.buffer, 0, BLOCK_BYTES);
      this.writeNext();
    });
  }

  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.idle.push(resolve);
      this.rotate();
    });
  }
}
/** Room for one more line beyond the size at which a block is written. */
const BLOCK_BYTES = GATEWAY_LIMITS.logFlushBytes + 8_192;
