// A node's log folder as kubelet and containerd keep it, and an agent on it; for tests.
import { randomUUID } from "node:crypto";
import { appendFile, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { LogChannel, LogRecord } from "../../../contract/logs.ts";
import { newInstanceId } from "../../../service/uuid7.ts";
import { createSegments } from "../../keep/segments.ts";
import { startAgent } from "../log-agent.ts";

const PREFIX = "fnctl";

export async function createNode() {
  const folder = await mkdtemp(path.join(tmpdir(), "fn-agent-"));
  const root = path.join(folder, "pods");
  const kept = path.join(folder, "kept");
  for (const each of [root, kept]) await mkdir(each);
  const names = new Map<string, LogChannel>();
  const asked: string[][] = [];
  const errors: unknown[] = [];
  let running: { agent: Awaited<ReturnType<typeof startAgent>>; segments: ReturnType<typeof createSegments> } | undefined;

  async function start(): Promise<void> {
    const segments = createSegments(kept, (error) => void errors.push(error));
    const agent = await startAgent({
      root,
      prefix: PREFIX,
      stateFile: path.join(folder, "state.json"),
      segments,
      async ask(instances) {
        asked.push(instances);
        return instances.flatMap((id) => names.get(id) ?? []);
      },
      onError: (error) => void errors.push(error),
    });
    running = { agent, segments };
  }
  return {
    folder,
    root,
    stateFile: path.join(folder, "state.json"),
    names,
    asked,
    errors,
    start,
    async stop(): Promise<void> {
      await running?.agent.close();
      running = undefined;
    },
    async read(channel: LogChannel): Promise<LogRecord[]> {
      return (await running?.segments.read(channel, 100_000, undefined, () => true)) ?? [];
    },
    async messages(channel: LogChannel): Promise<string[]> {
      return (await this.read(channel)).map(({ message }) => message);
    },
    pod: (overrides: Partial<LogChannel> & { namespace?: string } = {}) => createTestPod(root, names, overrides),
    async close(): Promise<void> {
      await this.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
export type Node = Awaited<ReturnType<typeof createNode>>;

async function createTestPod(
  root: string,
  names: Map<string, LogChannel>,
  { namespace, ...overrides }: Partial<LogChannel> & { namespace?: string },
) {
  const channel = { instance: newInstanceId(), tenantId: randomUUID(), functionId: randomUUID(), version: 3, ...overrides };
  const folder = path.join(root, `${namespace ?? `${PREFIX}-${channel.tenantId}`}_i-${channel.instance}_${randomUUID()}`);
  const container = path.join(folder, "sandbox");
  const file = path.join(container, "0.log");
  await mkdir(container, { recursive: true });
  await writeFile(file, "");
  const line = (text: string, source = "stdout", tag = "F") => `${new Date().toISOString()} ${source} ${tag} ${text}\n`;
  return {
    channel,
    folder,
    file,
    line,
    name: (as: Partial<LogChannel> = {}) => void names.set(channel.instance, { ...channel, ...as }),
    print: (...lines: string[]) => appendFile(file, lines.map((text) => line(text)).join("")),
    raw: (text: string) => appendFile(file, text),
    /** Rotates as the kubelet does: the file gets another name, then the runtime is told to open a new one. */
    async rotate(time: string): Promise<void> {
      await rename(file, `${file}.${time}`);
      await writeFile(file, "");
    },
    remove: () => rm(folder, { recursive: true }),
  };
}
