// Writes to fd 1 or 2 without ever blocking the event loop: what the collector does not take stays in a bounded buffer, then is dropped and counted.
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import { createLogQueue } from "./log-queue.ts";

const BUFFER_BYTES = 256 * 1024;
const RETRY_MS = 20;

export interface LogPipe {
  /** `request`: whose line it is; none: of no request. */
  write(line: string, request?: string): void;
  /** Last attempt at exit; returns after at most `ms` milliseconds. */
  flushSync(ms: number): void;
}

export function createLogPipe(fd: number, droppedNote: (lines: number) => string): LogPipe {
  // Opening a pipe as a libuv handle sets O_NONBLOCK, which Node offers no other way to. The handle is never used or closed.
  const handle = nonBlocking(fd);
  const queue = createLogQueue(BUFFER_BYTES);
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;

  /** Writes from the front of the queue until it is empty or the pipe is full. */
  const drain = (): void => {
    timer = undefined;
    for (;;) {
      const chunk = queue.first();
      if (chunk === undefined) {
        if (dropped === 0) return;
        const note = droppedNote(dropped);
        dropped = 0;
        queue.push(Buffer.from(note), "");
        continue;
      }
      const written = tryWrite(fd, chunk);
      if (written > 0) queue.written(written);
      if (written < chunk.length) {
        timer ??= setTimeout(drain, RETRY_MS).unref();
        return;
      }
    }
  };
  void handle;
  return {
    write(line, request = "") {
      dropped += queue.push(Buffer.from(line), request);
      if (timer === undefined) drain();
    },
    flushSync(ms) {
      const end = performance.now() + ms;
      clearTimeout(timer);
      do drain();
      while (queue.first() !== undefined && performance.now() < end);
      queue.clear();
    },
  };
}

function nonBlocking(fd: number): Socket | undefined {
  try {
    return new Socket({ fd, readable: false, writable: true }).unref();
  } catch {
    return undefined; // a file or a terminal: writing never waits for a reader
  }
}

/** Bytes written; 0 when the pipe is full. A pipe without a reader swallows everything. */
function tryWrite(fd: number, chunk: Buffer): number {
  try {
    return writeSync(fd, chunk);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EAGAIN" ? 0 : chunk.length;
  }
}
