// A runsc driver with folders of its own on this machine, and helpers to run functions in it; for tests.
import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { tmpdir } from "node:os";
import { newInstanceId } from "../../../service/uuid7.ts";
import type { ImageRef, Sandbox, SandboxDriver, SandboxSpec } from "../../driver.ts";
import { init } from "../../testing/ask.ts";
import { placeLayer } from "../../testing/layers.ts";
import { createRunscDriver, type RunscDriverOptions } from "../driver.ts";
import { createLayout, type RunscLayout } from "../layout.ts";
import { bindMount, mountPoints, unmount } from "../mounts.ts";
import { cgroupRoots } from "../cgroup.ts";
import { firstPlaceOf } from "../cpu-groups.ts";

export interface Rootfs {
  rootfs: string;
  process: { args: string[]; env: Record<string, string>; cwd: string };
}
export interface RunscHost {
  options: RunscDriverOptions;
  layout: RunscLayout;
  driver: SandboxDriver;
  spec(overrides?: Partial<SandboxSpec>): SandboxSpec;
  place(files: Record<string, string>, tenantId?: string): Promise<ImageRef>;
  /** Makes a base that runs `args` instead of the bootstrap; resolves with its digest. */
  hostileBase(args: string[]): Promise<string>;
  /** Starts a function made of one module. */
  run(module: string, overrides?: Partial<SandboxSpec>): Promise<{ instance: Sandbox; image: ImageRef }>;
  reopen(): Promise<SandboxDriver>;
  close(): Promise<void>;
}

export async function createRunscHost(binary: string, rootfs: Rootfs): Promise<RunscHost> {
  const folder = await mkdtemp(path.join(tmpdir(), "fn-"));
  const options: RunscDriverOptions = {
    binary,
    paths: {
      runDir: path.join(folder, "r"),
      basesDir: path.join(folder, "bases"),
      layersDir: path.join(folder, "layers"),
      egressDir: path.join(folder, "egress"),
    },
    dataGid: 0,
    logGid: 0,
    egressUid: 0,
    onError: (error) => {
      throw error; // unhandled, so that the test run fails
    },
    cgroupParent: `/fnctl-test-${randomBytes(4).toString("hex")}`,
  };
  await mkdir(options.paths.layersDir, { recursive: true });
  const layout = createLayout(options.paths);
  const addBase = async (args: string[]) => {
    const digest = `sha256:${randomBytes(32).toString("hex")}`;
    await mkdir(path.join(layout.base(digest), "rootfs"), { recursive: true });
    await bindMount(rootfs.rootfs, path.join(layout.base(digest), "rootfs"));
    const env = Object.entries(rootfs.process.env).map(([name, value]) => `${name}=${value}`);
    await writeFile(path.join(layout.base(digest), "process.json"), JSON.stringify({ args, env, cwd: rootfs.process.cwd }));
    return digest;
  };
  const base = await addBase(rootfs.process.args);
  const driver = await createRunscDriver(options);
  const spec = (overrides: Partial<SandboxSpec> = {}): SandboxSpec => ({
    id: newInstanceId(),
    kind: "function",
    base,
    isolation: "gvisor",
    memoryMib: 128,
    egress: false,
    epoch: 1,
    ...overrides,
  });
  const place = (files: Record<string, string>, tenantId: string = randomUUID()) => placeLayer(options.paths.layersDir, tenantId, files);
  return {
    options,
    layout,
    driver,
    spec,
    place,
    hostileBase: addBase,
    reopen: () => createRunscDriver(options),
    async run(module, overrides) {
      const [started, image] = await Promise.all([driver.start(spec(overrides)), place({ "index.mjs": module })]);
      const instance = await driver.load(started.id, image);
      const answer = await init(instance, image);
      if (answer.status !== 200) throw new Error(`The probe did not load: ${answer.text}`);
      return { instance, image };
    },
    close: () => cleanUp(folder, options, driver),
  };
}

async function cleanUp(folder: string, options: RunscDriverOptions, driver: SandboxDriver): Promise<void> {
  await Promise.all((await driver.list()).map(({ id }) => driver.stop(id)));
  for (const target of await mountPoints()) if (target.startsWith(`${folder}/`)) await unmount(target).catch(() => "");
  await rm(folder, { recursive: true, force: true });
  for (const root of await cgroupRoots())
    for (const group of [path.dirname(firstPlaceOf(options.cgroupParent, "any")), options.cgroupParent])
      await rmdir(path.join(root, group)).catch(() => undefined);
}
