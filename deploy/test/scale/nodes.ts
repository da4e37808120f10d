// Simulated nodes (kwok) in a real cluster: the API server, its scheduler and its controllers are real, the pods run nothing and only have
// the status of running pods.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { run, type Cluster } from "../cluster/cluster.ts";

const NODES = 40;
const PODS_PER_NODE = 1000;
const node = (index: number) => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: {
    name: `simulated-${index}`,
    labels: { "fnctl.dev/sandbox": "gvisor", "kubernetes.io/hostname": `simulated-${index}`, "fnctl.dev/simulated": "true" },
    annotations: { "kwok.x-k8s.io/node": "fake" },
  },
  spec: { taints: [{ key: "fnctl.dev/sandbox", value: "true", effect: "NoSchedule" }] },
  status: {
    allocatable: { cpu: "10000", memory: "20Ti", "ephemeral-storage": "20Ti", pods: String(PODS_PER_NODE) },
    capacity: { cpu: "10000", memory: "20Ti", "ephemeral-storage": "20Ti", pods: String(PODS_PER_NODE) },
  },
});

export interface SimulatedNodes {
  close(): Promise<void>;
}

/**
 * Adds simulated nodes; the real nodes take no pods meanwhile. `sandboxes`: address of the process that simulates the sandboxes of platform
 * `uid`.
 */
export async function openSimulatedNodes(cluster: Cluster, uid: string, sandboxes: string): Promise<SimulatedNodes> {
  const kubectl = (args: string[], input?: string) => run(cluster, "kubectl", args, input);
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-kwok-"));
  const stages = path.join(folder, "stages.yaml");
  const text = await readFile(path.join(import.meta.dirname, "stages.yaml"), "utf8");
  await writeFile(stages, text.replaceAll("SANDBOXES", sandboxes));
  const real = (await kubectl(["get", "nodes", "-o", "name"])).trim().split("\n");
  for (const name of real) await kubectl(["cordon", name]);
  await kubectl(
    ["apply", "-f", "-"],
    JSON.stringify({ apiVersion: "v1", kind: "List", items: Array.from({ length: NODES }, (_, index) => node(index)) }),
  );
  const children: ChildProcess[] = [];
  const kwok = path.join(cluster.bin ?? "", "kwok");
  const flags = [
    `--kubeconfig=${cluster.kubeconfig}`,
    `--config=${stages}`,
    "--manage-all-nodes=false",
    "--manage-nodes-with-label-selector=fnctl.dev/simulated=true",
  ];
  children.push(spawn(kwok, [...flags, "--node-lease-duration-seconds=40"], { stdio: ["ignore", "ignore", "ignore"] }));
  const player = spawn(process.execPath, [path.join(import.meta.dirname, "sandboxes.ts"), cluster.kubeconfig, uid, sandboxes], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(player);
  const close = async () => {
    await kubectl(["delete", "nodes", "-l", "fnctl.dev/simulated=true", "--wait=false"]);
    for (const child of children) child.kill();
    for (const name of real) await kubectl(["uncordon", name]);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await once(createInterface({ input: player.stdout }), "line");
    await kubectl(["wait", "--for=condition=Ready", "nodes", "-l", "fnctl.dev/simulated=true", "--timeout=60s"]);
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}
