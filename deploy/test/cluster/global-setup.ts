// Provides one real cluster for the whole suite: its own, started fresh, or the one that KUBECONFIG names, which is left as it was found.
import type { TestProject } from "vitest/node";
import { clusterScript, run, type Cluster } from "./cluster.ts";
import { footprint, type Footprint } from "./footprint.ts";

declare module "vitest" {
  export interface ProvidedContext {
    cluster: Cluster;
    /** The machine's state before the suite's own cluster; null for a cluster from KUBECONFIG. */
    footprintBefore: Footprint | null;
  }
}

const LOCAL_REGISTRY = "10.201.0.2:5000";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const existing = process.env["KUBECONFIG"];
  if (existing !== undefined && existing !== "") {
    project.provide("cluster", await describe(existing, process.env["FNCTL_TEST_BIN"]));
    project.provide("footprintBefore", null);
    return async () => {};
  }
  await clusterScript("down");
  project.provide("footprintBefore", await footprint());
  const kubeconfig = await clusterScript("up");
  project.provide("cluster", await describe(kubeconfig, await clusterScript("bin")));
  return async () => {
    await clusterScript("down");
    const left = await footprint();
    if (left.ours.length > 0) throw new Error(`cluster.sh down left: ${left.ours.join(", ")}`);
  };
}

/**
 * FNCTL_TEST_REGISTRY: a registry that tests may push to. FNCTL_TEST_IMAGE: a busybox by digest that this cluster can pull. Tools come from
 * `bin`, or from PATH if it is absent.
 */
async function describe(kubeconfig: string, bin: string | undefined): Promise<Cluster> {
  const registry = process.env["FNCTL_TEST_REGISTRY"] ?? LOCAL_REGISTRY;
  const cluster = { kubeconfig, bin: bin ?? null, registry, image: process.env["FNCTL_TEST_IMAGE"] ?? "" };
  if (cluster.image !== "") return cluster;
  const digest = await run(cluster, "crane", ["digest", "--insecure", `${registry}/test/busybox:1`]);
  return { ...cluster, image: `${registry}/test/busybox@${digest.trim()}` };
}
