// A log collector process of its own, with named pipes as the driver makes them; for tests.
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { logQuerySchema, logRecordSchema, type LogChannel, type LogRecord } from "../../../contract/logs.ts";
import { newInstanceId } from "../../../service/uuid7.ts";
import { createLayout } from "../../../sandbox/runsc/layout.ts";
import { closeAll, holdOpen, makeLogPipes, nameChannel, removeLogPipes } from "../../../sandbox/runsc/log-pipes.ts";
import { createCollectorClient } from "../../read/collector-client.ts";

const MAIN = path.resolve(import.meta.dirname, "../../../log-collector-main.ts");

export async function createCollectorHost() {
  const folder = await mkdtemp(path.join(tmpdir(), "fn-log-"));
  const layout = createLayout({ runDir: folder, basesDir: folder, layersDir: folder, egressDir: folder });
  const logDir = path.join(folder, "kept");
  const socket = path.join(folder, "sock");
  await mkdir(layout.logs);
  await mkdir(logDir);
  const held: number[] = [];
  let child: ChildProcess | undefined;

  return {
    logDir,
    client: createCollectorClient(socket),
    async start(): Promise<void> {
      await rm(socket, { force: true });
      const env = { ...process.env, FNCTL_LOG_SOCKET: socket, FNCTL_LOG_PIPES: layout.logs, FNCTL_LOG_DIR: logDir };
      child = spawn(process.execPath, [MAIN], { env, stdio: ["ignore", "ignore", "inherit"] });
      while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    /** Paths of all files that the collector process holds open. */
    async openFiles(): Promise<string[]> {
      const open = `/proc/${child?.pid}/fd`;
      return Promise.all((await readdir(open)).map((fd) => readlink(path.join(open, fd)).catch(() => "")));
    },
    async kill(signal: NodeJS.Signals): Promise<void> {
      const ended = new Promise((resolve) => child?.on("exit", resolve));
      child?.kill(signal);
      await ended;
    },
    /** A sandbox's pipes, held open as the driver does. */
    async instance() {
      const id = newInstanceId();
      const paths = layout.instance(id);
      await makeLogPipes(paths, 0);
      const fds = holdOpen(paths);
      held.push(...fds);
      const channel: LogChannel = { instance: id, tenantId: randomUUID(), functionId: randomUUID(), version: 3 };
      const end = async () => {
        closeAll(held.splice(held.indexOf(fds[0] ?? -1), fds.length));
        await removeLogPipes(paths);
      };
      return { paths, channel, name: () => nameChannel(paths, channel, 0), end };
    },
    async read(channel: LogChannel, query: Record<string, string> = {}): Promise<LogRecord[]> {
      const body = await this.client.read(channel.tenantId, channel.functionId, logQuerySchema.parse(query), AbortSignal.timeout(20_000));
      return parseLines(await text(body));
    },
    async close(): Promise<void> {
      if (child?.exitCode === null && child.signalCode === null) await this.kill("SIGKILL");
      closeAll(held);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
export type CollectorHost = Awaited<ReturnType<typeof createCollectorHost>>;

/** Throws when a line is not a record. */
export const parseLines = (body: string): LogRecord[] =>
  body
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => logRecordSchema.strict().parse(JSON.parse(line)));
