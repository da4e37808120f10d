// The tools that tests use on the cluster: kubectl, helm and crane as child processes, whose error output becomes the error's message.
import { spawn } from "node:child_process";
import path from "node:path";

export interface Cluster {
  kubeconfig: string;
  /** Folder of kubectl, helm and crane; null: they are on PATH. */
  bin: string | null;
  /** Host and port of a registry that tests may push to and nodes pull from. */
  registry: string;
  /** A busybox by digest. */
  image: string;
}

const SCRIPT = path.join(import.meta.dirname, "cluster.sh");
/** Building Kubernetes the first time takes minutes. */
const SCRIPT_TIMEOUT_MS = 30 * 60_000;

/** Runs `cluster.sh VERB` without KUBECONFIG; resolves with its output. */
export async function clusterScript(verb: "up" | "down" | "bin" | "bin-scale"): Promise<string> {
  const { KUBECONFIG: _chosen, ...env } = process.env;
  return (await execute("bash", [SCRIPT, verb], { env, timeoutMs: SCRIPT_TIMEOUT_MS })).trim();
}

/** Runs a tool against the cluster; rejects with its message when it fails. */
export function run(cluster: Cluster, tool: "kubectl" | "helm" | "crane", args: string[], input?: string): Promise<string> {
  const PATH = cluster.bin === null ? process.env["PATH"] : `${cluster.bin}:${process.env["PATH"] ?? ""}`;
  return execute(tool, args, { env: { ...process.env, PATH, KUBECONFIG: cluster.kubeconfig }, timeoutMs: 90_000, input });
}

interface Options {
  env: NodeJS.ProcessEnv;
  timeoutMs: number;
  input?: string | undefined;
}

function execute(command: string, args: string[], { env, timeoutMs, input }: Options): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, timeout: timeoutMs, stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    // `exit`, not `close`: the cluster that `up` starts may outlive the script with its streams.
    child.on("exit", (code, signal) => {
      if (code === 0) setImmediate(() => resolve(stdout));
      else reject(new Error(`${command} ${args.join(" ")}: ${code ?? signal}: ${stderr || stdout}`));
    });
    child.stdin.on("error", () => {}); // a tool that fails at once does not read its input
    child.stdin.end(input);
  });
}
