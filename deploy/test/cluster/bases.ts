// Base images in the test cluster's registry, from the root file systems that the single-machine mode uses.
import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createLayoutStore } from "@fnctl/control-plane/images/layout-store";
import { MEDIA, baseImage } from "@fnctl/control-plane/images/oci";
import { prepareRootfs, type RootfsName } from "@fnctl/runtime-images/base/prepare";
import { run, type Cluster } from "./cluster.ts";

/** Pushes one base; resolves with its reference by digest. */
export async function pushBase(cluster: Cluster, name: RootfsName): Promise<{ digest: string; reference: string }> {
  const cacheDir = process.env["FNCTL_CACHE_DIR"] ?? "/var/cache/fnctl";
  const rootfs = await prepareRootfs(name, { cacheDir });
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-base-"));
  try {
    const store = createLayoutStore(folder);
    const layer = await store.putBlob("base", MEDIA.layer, createReadStream(rootfs.tar));
    const env = Object.entries(rootfs.process.env).map(([key, value]) => `${key}=${value}`);
    const image = baseImage({ layer, process: { ...rootfs.process, env } });
    await store.putImage("base", name, image);
    const { digest } = image.manifest.descriptor;
    await run(cluster, "crane", ["push", "--insecure", path.join(folder, "base"), `${cluster.registry}/base:${name}`]);
    return { digest, reference: `${cluster.registry}/base@${digest}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
