// Base images: the root file systems become OCI images in the state folder's store, and lie unpacked beside it for the driver.
import { createReadStream, existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { createLayoutStore } from "@fnctl/control-plane/images/layout-store";
import { MEDIA, baseImage } from "@fnctl/control-plane/images/oci";
import { ROOTFS_NAMES, prepareRootfs, type PreparedRootfs } from "@fnctl/runtime-images/base/prepare";
import type { Folders } from "./folders.ts";
import { run } from "./run.ts";
import type { Users } from "./users.ts";

/** Builds what the cache lacks, then imports what the state folder lacks. */
export async function prepareBases(cacheDir: string, folders: Folders, users: Users, say: (detail: string) => void): Promise<void> {
  const store = createLayoutStore(folders.state.images);
  let changed = false;
  for (const name of ROOTFS_NAMES) {
    const rootfs = await prepareRootfs(name, { cacheDir, progress: say });
    changed = (await importBase(store, rootfs, folders, say)) || changed;
  }
  const { uid, gid } = users.ids.control;
  if (changed) await run("chown", ["-R", `${uid}:${gid}`, folders.state.images]);
}

async function importBase(
  store: ReturnType<typeof createLayoutStore>,
  rootfs: PreparedRootfs,
  folders: Folders,
  say: (detail: string) => void,
): Promise<boolean> {
  const note = path.join(folders.state.bases, `${rootfs.name}.source`);
  if (existsSync(note) && (await readFile(note, "utf8")) === rootfs.folder) return false;
  say(`${rootfs.name}: importing the base image`);
  const layer = await store.putBlob("base", MEDIA.layer, createReadStream(rootfs.tar));
  const image = baseImage({ layer, process: processOf(rootfs) });
  await store.putImage("base", rootfs.name, image);
  await unpackBase(path.join(folders.state.bases, image.manifest.descriptor.digest.slice("sha256:".length)), rootfs);
  await writeFile(note, rootfs.folder);
  return true;
}

/** Hard links where the cache is on the same file system; older bases stay, because older versions run on them. */
async function unpackBase(target: string, rootfs: PreparedRootfs): Promise<void> {
  if (existsSync(target)) return;
  const draft = `${target}.${process.pid}`;
  await mkdir(draft, { mode: 0o711 });
  try {
    await run("cp", ["-al", rootfs.rootfs, path.join(draft, "rootfs")]).catch(async () => {
      await rm(path.join(draft, "rootfs"), { recursive: true, force: true });
      await run("cp", ["-a", rootfs.rootfs, path.join(draft, "rootfs")]);
    });
    await writeFile(path.join(draft, "process.json"), JSON.stringify(processOf(rootfs)));
    await rename(draft, target);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Environment as OCI writes it: a list of `name=value`. */
function processOf(rootfs: PreparedRootfs): { args: string[]; env: string[]; cwd: string } {
  const { args, env, cwd } = rootfs.process;
  return { args, cwd, env: Object.entries(env).map(([name, value]) => `${name}=${value}`) };
}
