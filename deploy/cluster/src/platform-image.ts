// Builds the image of the platform's own parts with the project's image code: the Node base and one layer with the bundled programs.
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import tar from "tar-stream";
import type { ImageStore } from "@fnctl/control-plane/images/layout-store";
import { MEDIA, baseImage, versionImage } from "@fnctl/control-plane/images/oci";
import { ROOTFS_NAMES, prepareRootfs, type RootfsName } from "@fnctl/runtime-images/base/prepare";
import { SERVICES, bundleServices } from "../../single/src/bundle.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const FOLDER = "opt/fnctl/platform";
const PROGRAMS = {
  ...SERVICES,
  "log-agent": "control-plane/src/log-agent-main.ts",
  migrate: "deploy/cluster/src/migrate-main.ts",
  bootstrap: "deploy/cluster/src/bootstrap-main.ts",
  check: "deploy/cluster/src/check-main.ts",
};

export interface PushedImages {
  /** Digest of the platform's image. */
  platform: string;
  bases: Record<RootfsName, string>;
}

/** Puts the base images and the platform's into the store; blobs that exist already are not sent again. */
export async function pushImages(store: ImageStore, cacheDir: string, say: (line: string) => void): Promise<PushedImages> {
  const bases: Partial<Record<RootfsName, string>> = {};
  for (const name of ROOTFS_NAMES) {
    say(`base image ${name}`);
    bases[name] = await pushBase(store, name, cacheDir);
  }
  say("platform image");
  return { platform: await pushPlatform(store), bases: bases as Record<RootfsName, string> };
}

/** Puts one base image into the store; resolves with its digest. */
export async function pushBase(store: ImageStore, name: RootfsName, cacheDir: string): Promise<string> {
  const rootfs = await prepareRootfs(name, { cacheDir });
  const layer = await store.putBlob("base", MEDIA.layer, createReadStream(rootfs.tar));
  const env = Object.entries(rootfs.podProcess.env).map(([key, value]) => `${key}=${value}`);
  const image = baseImage({ layer, process: { ...rootfs.podProcess, env } });
  await store.putImage("base", name, image);
  return image.manifest.descriptor.digest;
}

async function pushPlatform(store: ImageStore): Promise<string> {
  const base = await store.getImage("base", "node24");
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-platform-"));
  try {
    await bundleServices(folder, PROGRAMS);
    const layer = await store.putBlob("platform", MEDIA.layer, await packPrograms(folder));
    for (const { digest } of base.manifest.layers) await store.mountBlob("base", "platform", digest);
    const image = versionImage(base, layer, { "org.opencontainers.image.title": "fnctl platform" });
    await store.putImage("platform", "latest", image);
    return image.manifest.descriptor.digest;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Files are sorted and have no times, so that the same programs give the same layer. */
async function packPrograms(folder: string): Promise<Readable> {
  const pack = tar.pack();
  const files = (await readdir(folder)).toSorted().map((name) => [name, path.join(folder, name)] as const);
  const migrations = path.join(root, "migrations/sql");
  const sql = (await readdir(migrations)).toSorted().map((name) => [`migrations/${name}`, path.join(migrations, name)] as const);
  for (const name of ["opt", "opt/fnctl", FOLDER, `${FOLDER}/migrations`])
    pack.entry({ name, type: "directory", mode: 0o755, mtime: new Date(0) });
  for (const [name, file] of [...files, ...sql])
    pack.entry({ name: `${FOLDER}/${name}`, mode: 0o644, mtime: new Date(0) }, await readFile(file));
  pack.finalize();
  return Readable.from(pack as AsyncIterable<Buffer>);
}
