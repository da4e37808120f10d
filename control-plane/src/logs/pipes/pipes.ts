// Reads the named pipes of all sandboxes. They belong to the driver and outlive this process; after a restart it opens them again.
import { closeSync, constants, openSync, readFileSync, watch } from "node:fs";
import { readdir } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { logChannelSchema, type LogChannel } from "../../contract/logs.ts";
import { createCallReports, createSyscallWatch } from "../keep/syscall-watch.ts";
import { createInstanceLog } from "../keep/instance-log.ts";
import { createLineSplitter, type LineSink } from "../keep/line-splitter.ts";
import { COLLECTOR } from "../keep/limits.ts";
import { createReadThrottle, type Pace } from "../keep/pace.ts";
import type { Segments } from "../keep/segments.ts";

const SOURCES = [
  ["out", "stdout"],
  ["err", "stderr"],
] as const;

export function createPipeReader(root: string, segments: Segments, onError: (error: unknown) => void) {
  const open = new Map<string, { close(): void }>();
  const reports = createCallReports(segments, onError);
  let retry: NodeJS.Timeout | undefined;

  const tenants = new Map<string, Pace>();
  function paceOf(tenantId: string): Pace {
    const known = tenants.get(tenantId) ?? createReadThrottle(COLLECTOR.readTenant);
    tenants.set(tenantId, known);
    return known;
  }

  /** The function that the instance's lines belong to, once the driver has written it down. */
  function channelOf(instance: string): LogChannel | undefined {
    try {
      return logChannelSchema.parse(JSON.parse(readFileSync(path.join(root, instance, "meta.json"), "utf8")));
    } catch {
      return undefined; // the sandbox is still idle and belongs to no function
    }
  }

  function openInstance(instance: string): void {
    let channel: LogChannel | undefined;
    const learn = () => (channel ??= channelOf(instance));
    const log = createInstanceLog({ segments, channel: learn });
    const readers: Reader[] = [];
    const own = createReadThrottle(COLLECTOR.readInstance);
    const paces = () => (channel === undefined ? [own] : [own, paceOf(channel.tenantId)]);
    for (const { fd, source } of openBoth(path.join(root, instance))) readers.push(readPipe(fd, log.sink(source), paces));
    // The name is read as soon as it is written and not with the first line, because an instance that ends at once may have been removed by
    // then, with its meta.json.
    const naming = watch(path.join(root, instance), () => learn() !== undefined && naming.close());
    naming.on("error", onError);
    if (learn() !== undefined) naming.close();
    const calls = createSyscallWatch({ file: path.join(root, instance, "gvisor.log"), keepSmall: true, channel: () => channel, reports });
    calls.look(); // keeps the file open from now on, because it is deleted with the sandbox
    const timer = setInterval(() => (log.reportDropped(), calls.look()), 1_000);
    const entry = {
      close() {
        clearInterval(timer);
        naming.close();
        for (const reader of readers) reader.close();
        log.reportDropped();
        calls.close();
        open.delete(instance);
      },
    };
    open.set(instance, entry);
    let left = readers.length;
    for (const { socket } of readers) socket.on("error", onError).on("close", () => --left === 0 && entry.close());
  }

  async function scan(): Promise<void> {
    let again = false;
    for (const instance of await readdir(root).catch(() => [])) {
      if (open.has(instance)) continue;
      try {
        openInstance(instance);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== "ENOENT" && code !== "EACCES") onError(error);
        again = true; // the driver is still making the pipes
      }
    }
    if (again) retry ??= setTimeout(() => ((retry = undefined), void scan()), COLLECTOR.retryMs);
  }

  const timer = setInterval(() => void scan(), COLLECTOR.rescanMs);
  const watcher = watch(root, () => void scan());
  watcher.on("error", onError);
  void scan();
  return {
    close(): void {
      clearInterval(timer);
      clearTimeout(retry);
      watcher.close();
      for (const entry of open.values()) entry.close();
    },
  };
}

/** Opens both pipes or none: a sandbox whose second pipe does not exist yet is looked at again later. */
function openBoth(folder: string): { fd: number; source: "stdout" | "stderr" }[] {
  const opened: { fd: number; source: "stdout" | "stderr" }[] = [];
  try {
    for (const [file, source] of SOURCES)
      opened.push({ fd: openSync(path.join(folder, file), constants.O_RDONLY | constants.O_NONBLOCK), source });
    return opened;
  } catch (error) {
    for (const { fd } of opened) closeSync(fd);
    throw error;
  }
}

interface Reader {
  socket: net.Socket;
  /** Ends reading; an unfinished line is passed on as it is. */
  close(): void;
}

/** Reads until the end, and pauses when the sandbox or all sandboxes of its tenant write faster than their pace allows. */
function readPipe(fd: number, sink: LineSink, paces: () => Pace[]): Reader {
  const socket = new net.Socket({ fd, readable: true, writable: false });
  const splitter = createLineSplitter(sink);
  socket.on("data", (chunk) => {
    const lines = splitter.push(chunk);
    const restMs = Math.max(...paces().map((pace) => pace.spend(lines, chunk.length)));
    if (restMs <= 0) return;
    socket.pause();
    setTimeout(() => socket.resume(), restMs);
  });
  const close = () => {
    splitter.end();
    socket.destroy();
  };
  socket.on("end", close);
  return { socket, close };
}
