// Imports base images: each root file system becomes an OCI image in the state folder's store, and is unpacked beside it for the driver.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { ROOTFS_NAMES, prepareRootfs, type PreparedRootfs } from "@fnctl/runtime-images/base/prepare";
import type { Folders } from "./folders.ts";
import { commandOf } from "./processes.ts";
import { run } from "./run.ts";
import type { Users } from "./users.ts";

export interface BasesInput {
  cacheDir: string;
  folders: Folders;
  users: Users;
  node: string;
  say(detail: string): void;
}

/** Builds root file systems that the cache lacks, then imports those that the state folder lacks. */
export async function prepareBases(input: BasesInput): Promise<void> {
  for (const name of ROOTFS_NAMES) await importBase(input, await prepareRootfs(name, { cacheDir: input.cacheDir, progress: input.say }));
}

async function importBase(input: BasesInput, rootfs: PreparedRootfs): Promise<void> {
  const { bases } = input.folders.state;
  const note = path.join(bases, `${rootfs.name}.source`);
  if (existsSync(note) && (await readFile(note, "utf8")) === rootfs.folder) return;
  input.say(`${rootfs.name}: importing the base image`);
  const digest = await store(input, rootfs);
  await unpackBase(path.join(bases, digest.slice("sha256:".length)), rootfs);
  await writeFile(note, rootfs.folder);
}

/** A process with the store's own uid writes the image, because root must not write where a service could have put a link. */
async function store({ folders, users, node }: BasesInput, rootfs: PreparedRootfs): Promise<string> {
  const what = { images: folders.state.images, name: rootfs.name, process: processOf(rootfs) };
  const args = ["--enable-source-maps", path.join(folders.state.app, "import-base.mjs"), JSON.stringify(what)];
  const [program, ...rest] = commandOf({ program: node, args, ids: users.ids.control });
  const child = spawn(program, rest, { cwd: "/", env: {}, stdio: ["pipe", "pipe", "pipe"] });
  const ended = once(child, "close");
  const [digest, errors] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    pipeline(createReadStream(rootfs.tar), child.stdin).catch(() => undefined), // the child's stderr says why it ended
  ]);
  const [code] = (await ended) as [number | null];
  if (code !== 0 || !/^sha256:[0-9a-f]{64}$/.test(digest))
    throw new Error(`The base image ${rootfs.name} cannot be kept: ${errors.trim()}`);
  return digest;
}

/** Uses hard links if the cache is on the same file system. Older bases are kept, because older versions run on them. */
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
