// The CLI against a platform on the cluster: a process of its own, in folders of its own.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { request } from "undici";
import { TENANT, type PlatformHost } from "./platform-host.ts";

const CLI = path.resolve(import.meta.dirname, "../../../cli/src/main.ts");

export interface Running {
  /** What it has printed so far. */
  text(): string;
  interrupt(): void;
  ended: Promise<number>;
}

export async function createClusterCli(platform: PlatformHost) {
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-cluster-cli-"));

  function start(args: string[], token = platform.token, cwd = folder): Running {
    const env = { PATH: process.env["PATH"], HOME: folder, NO_COLOR: "1", FNCTL_URL: platform.url, FNCTL_TOKEN: token };
    const child = spawn(process.execPath, [CLI, ...args], { cwd, env });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const ended = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
    return { text: () => text, interrupt: () => void child.kill("SIGINT"), ended };
  }
  /** `fnctl deploy` in a folder; rejects with what it prints when it fails. */
  async function deployIn(cwd: string, token = platform.token): Promise<string> {
    const running = start(["deploy"], token, cwd);
    const code = await running.ended;
    if (code === 0) return running.text();
    const log = await platform.kubectl(["logs", "-n", platform.namespace, "deploy/fnctl-control-plane", "--tail=20"]);
    throw new Error(`fnctl deploy: ${String(code)}\n${running.text()}\n${log}`);
  }
  return {
    start,
    deployIn,
    /** A function of these files. */
    async deploy(name: string, files: Record<string, string>, token = platform.token): Promise<string> {
      const own = await mkdtemp(path.join(folder, `${name}-`));
      for (const [file, text] of Object.entries(files)) await writeFile(path.join(own, file), text);
      return deployIn(own, token);
    },
    async call(name: string, where = "/", headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
      const own = { host: `${name}--${TENANT}.${platform.domain}`, authorization: `Bearer ${platform.token}`, ...headers };
      const answer = await request(`${platform.url}${where}`, { headers: own });
      return { status: answer.statusCode, text: await answer.body.text() };
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
export type ClusterCli = Awaited<ReturnType<typeof createClusterCli>>;
