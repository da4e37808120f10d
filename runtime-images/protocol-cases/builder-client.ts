// Drives a builder sandbox through one build, as the control plane does.
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { BuilderEvent, BuildRequest } from "@fnctl/control-plane/contract/runtime-protocol";
import { prepareRootfs } from "../base/prepare.ts";
import { call, untilIdle, type Reply } from "./client.ts";
import { startConnectProxy } from "./connect-proxy.ts";
import { startSandbox } from "./runsc.ts";

const exec = promisify(execFile);
const cacheDir = process.env["FNCTL_CACHE_DIR"] ?? "/var/cache/fnctl";

export interface Build {
  source: Reply;
  events: BuilderEvent[];
  /** The build's last event. */
  last: BuilderEvent | undefined;
  layer: Buffer | undefined;
  /** `host:port` of all tunnels the build asked for. */
  asked: string[];
}

/** Writes files into a fresh folder and packs them; `prepare` may add to them (lockfiles). */
export async function packSource(
  files: Record<string, string>,
  prepare: (folder: string) => Promise<unknown> = async () => undefined,
): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "fnctl-source-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    await prepare(folder);
    await exec("tar", ["-czf", `${folder}.tgz`, "--exclude=./node_modules", "-C", folder, "."]);
    return await readFile(`${folder}.tgz`);
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(`${folder}.tgz`, { force: true });
  }
}

export const lockNpm = (folder: string): Promise<unknown> =>
  exec("npm", ["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder });

export async function build(
  runsc: string,
  archive: Buffer,
  request: Partial<BuildRequest> & { runtime: BuildRequest["runtime"] },
  allow: (host: string) => boolean = () => true,
): Promise<Build> {
  const egressFolder = await mkdtemp(join(tmpdir(), "fnctl-egress-"));
  await chmod(egressFolder, 0o755);
  const proxy = await startConnectProxy(join(egressFolder, "s"), allow);
  const sandbox = await startSandbox({ runsc, rootfs: await prepareRootfs("builder", { cacheDir }), workMib: 1500, egressFolder });
  try {
    await untilIdle(sandbox);
    const source = await call(sandbox.socket, "/.fnctl/v1/source", { method: "PUT", body: archive });
    if (source.status !== 204) return { source, events: [], last: undefined, layer: undefined, asked: proxy.asked };
    const body = JSON.stringify({ timeoutMs: 300_000, ...(await operatorSettings()), ...request });
    const events = (await call(sandbox.socket, "/.fnctl/v1/build", { body })).text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as BuilderEvent);
    const layer = await call(sandbox.socket, "/.fnctl/v1/layer");
    return { source, events, last: events.at(-1), layer: layer.status === 200 ? layer.body : undefined, asked: proxy.asked };
  } finally {
    await sandbox.stop();
    proxy.close();
    await rm(egressFolder, { recursive: true, force: true });
  }
}

/** This machine's own registries and root certificates, as the control plane would pass them on, without credentials. */
async function operatorSettings(): Promise<{ npmRegistry: string; caBundle?: string }> {
  const registry = new URL((await exec("npm", ["config", "get", "registry"], { cwd: tmpdir() })).stdout.trim());
  registry.username = registry.password = "";
  const bundle = process.env["NODE_EXTRA_CA_CERTS"] ?? process.env["SSL_CERT_FILE"];
  return { npmRegistry: registry.href, ...(bundle === undefined ? {} : { caBundle: await readFile(bundle, "utf8") }) };
}

/** Unpacks a layer so that its `function/code/` becomes the given folder. */
export async function placeLayer(layer: Buffer, folder: string): Promise<void> {
  await writeFile(`${folder}.tar`, layer);
  await exec("tar", ["-xf", `${folder}.tar`, "--strip-components=2", "-C", folder]);
  await rm(`${folder}.tar`);
}
