// Pushes base images to the test cluster's registry, made from the root file systems that the single-machine mode uses.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createLayoutStore } from "@fnctl/control-plane/images/layout-store";
import type { RootfsName } from "@fnctl/runtime-images/base/prepare";
import { pushBase as pushInto } from "../../cluster/src/platform-image.ts";
import { run, type Cluster } from "./cluster.ts";

/** Pushes one base; resolves with its reference by digest. */
export async function pushBase(cluster: Cluster, name: RootfsName): Promise<{ digest: string; reference: string }> {
  const cacheDir = process.env["FNCTL_CACHE_DIR"] ?? "/var/cache/fnctl";
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-base-"));
  try {
    const digest = await pushInto(createLayoutStore(folder), name, cacheDir);
    await run(cluster, "crane", ["push", "--insecure", path.join(folder, "base"), `${cluster.registry}/base:${name}`]);
    return { digest, reference: `${cluster.registry}/base@${digest}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
