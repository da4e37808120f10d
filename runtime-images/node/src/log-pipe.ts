// Writes to fd 1 or 2 without ever blocking the event loop: what the collector does not take stays in a bounded buffer, then is dropped and counted.
import { writeSync } from "node:fs";
import { Socket } from "node:net";

const BUFFER_BYTES = 256 * 1024;
const RETRY_MS = 20;

export interface LogPipe {
  write(line: string): void;
  /** Last attempt at exit; returns after at most `ms` milliseconds. */
  flushSync(ms: number): void;
}

export function createLogPipe(fd: number, droppedNote: (lines: number) => string): LogPipe {
  // Opening a pipe as a libuv handle sets O_NONBLOCK, which Node offers no other way to. The handle is never used or closed.
  const handle = nonBlocking(fd);
  let queue: Buffer[] = [];
  let queued = 0;
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;

  /** Writes from the front of the queue until it is empty or the pipe is full. */
  const drain = (): void => {
    timer = undefined;
    while (queue.length > 0 || dropped > 0) {
      if (queue.length === 0) noteDropped();
      const chunk = queue[0] as Buffer;
      const written = tryWrite(fd, chunk);
      queued -= written;
      if (written === chunk.length) queue.shift();
      else {
        queue[0] = chunk.subarray(written);
        timer ??= setTimeout(drain, RETRY_MS).unref();
        return;
      }
    }
  };
  const push = (chunk: Buffer): void => {
    queue.push(chunk);
    queued += chunk.length;
  };
  const noteDropped = (): void => {
    push(Buffer.from(droppedNote(dropped)));
    dropped = 0;
  };
  void handle;
  return {
    write(line) {
      const chunk = Buffer.from(line);
      if (queued + chunk.length > BUFFER_BYTES) dropped += 1;
      else push(chunk);
      if (timer === undefined) drain();
    },
    flushSync(ms) {
      const end = performance.now() + ms;
      clearTimeout(timer);
      do drain();
      while (queue.length > 0 && performance.now() < end);
      queue = [];
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
