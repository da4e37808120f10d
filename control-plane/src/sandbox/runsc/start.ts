// The steps of one start, and their undoing, which is safe at any point of a start.
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { chown, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { SANDBOX_PATHS } from "../../contract/runtime-protocol.ts";
import type { InstanceRecord } from "./record.ts";
import type { InstancePaths, RunscLayout } from "./layout.ts";
import { saveRecord } from "./record.ts";
import { buildRuntimeSpec, type BaseProcess } from "./spec.ts";
import type { MountShell } from "./mount-shell.ts";
import { isBound, mountPoints, mountTmpfs, unmount } from "./mounts.ts";
import { closeAll, holdOpen, makeLogPipes, openWriteEnds, removeLogPipes } from "./log-pipes.ts";
import { pinSocket, waitForListener, waitForSocket } from "./pinned-socket.ts";
import { isAlive, startTicks } from "./process-state.ts";
import { START_TIMEOUT_MS, type Runsc } from "./runsc.ts";
import { removeCgroup } from "./cgroup.ts";
import type { CpuGroups } from "./cpu-groups.ts";
import { killLeftovers } from "./leftover-processes.ts";

export interface StartContext {
  layout: RunscLayout;
  runsc: Runsc;
  /** Group whose processes may connect to instances. */
  dataGid: number;
  logGid: number;
  /** User that owns the egress proxy's folders. */
  egressUid: number;
  binary: string;
  mountAgent: MountShell;
  /** Undefined where the host's kernel cannot share processor time between groups. */
  cpuGroups: CpuGroups | undefined;
  cgroupOf(id: string): string;
}

async function prepareFolders(context: StartContext, paths: InstancePaths, uid: number): Promise<void> {
  await mkdir(paths.folder, { mode: 0o710 });
  await chown(paths.folder, 0, context.dataGid);
  await Promise.all([mkdir(paths.bundle, { mode: 0o700 }), mkdir(paths.tmpfs), mkdir(paths.codeFolder, { mode: 0o700 })]);
  await mkdir(paths.code, { recursive: true });
  await mountTmpfs(paths.tmpfs);
  await mkdir(paths.box, { mode: 0o700 });
  await chown(paths.box, uid, uid);
  await mkdir(paths.pinFolder, { mode: 0o750 });
  await chown(paths.pinFolder, 0, context.dataGid);
}

async function writeBundle(context: StartContext, record: InstanceRecord): Promise<void> {
  const { layout } = context;
  const { instance, uid, cgroupsPath } = record;
  const paths = layout.instance(instance.id);
  const base = layout.base(instance.base);
  const process = JSON.parse(await readFile(path.join(base, "process.json"), "utf8")) as BaseProcess;
  const spec = buildRuntimeSpec({
    spec: instance,
    uid,
    base: process,
    rootfs: path.join(base, "rootfs"),
    box: paths.box,
    code: paths.codeMount,
    egress: instance.egress ? paths.egress : undefined,
    cgroupsPath,
  });
  await writeFile(path.join(paths.bundle, "config.json"), JSON.stringify(spec), { mode: 0o600 });
}

/** Runs the sandbox until it is idle; sets pid and address in the record and saves it. `onHeld` gets the pipes' ends to keep open. */
export async function bringUp(context: StartContext, record: InstanceRecord, onHeld: (fds: number[]) => void): Promise<void> {
  const paths = context.layout.instance(record.instance.id);
  await prepareFolders(context, paths, record.uid);
  saveRecord(context.layout, record);
  if (record.instance.egress) await bindEgress(context, record.instance.id);
  await makeLogPipes(paths, context.logGid);
  onHeld(holdOpen(paths)); // before the write ends: opening one without a reader would block (fifo(7))
  await writeBundle(context, record);
  const pid = await runWithPipes(context, record, paths);
  const ticks = startTicks(pid) ?? "";
  Object.assign(record, { pid, ticks });
  const alive = () => isAlive(pid, ticks);
  await waitForSocket(paths, alive, START_TIMEOUT_MS);
  await pinSocket(paths);
  await waitForListener(paths, alive, START_TIMEOUT_MS);
  record.instance.state = "idle";
  record.instance.address = { kind: "unix", path: paths.pinnedSocket };
  saveRecord(context.layout, record);
}

async function runWithPipes(context: StartContext, record: InstanceRecord, paths: InstancePaths): Promise<number> {
  const pipes = openWriteEnds(paths);
  try {
    return await context.runsc.run({
      id: record.instance.id,
      bundle: paths.bundle,
      pidFile: path.join(paths.folder, "pid"),
      logFile: path.join(paths.folder, "runsc.log"),
      userLog: paths.userLog,
      ...pipes,
    });
  } finally {
    closeAll([pipes.stdout, pipes.stderr]);
  }
}

/**
 * Gives the sandbox its folder of the egress proxy. The proxy's user owns that folder and could replace it by anything, so it is opened
 * without following a link, checked, and bound by the open file: the sandbox gets exactly the folder that was checked.
 */
async function bindEgress({ layout, mountAgent, egressUid }: StartContext, id: string): Promise<void> {
  const { egress } = layout.instance(id);
  const folder = openSync(layout.egress(id), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { uid } = fstatSync(folder);
    if (uid !== egressUid) throw new Error(`The egress proxy's folder of ${id} belongs to uid ${uid}.`);
    await mkdir(egress, { mode: 0o755 });
    await mountAgent.bind(`/proc/${process.pid}/fd/${folder}`, egress);
  } finally {
    closeSync(folder);
  }
}

/** Path of the code in a layer, which is the same as in the image. */
export const LAYER_CODE = SANDBOX_PATHS.code.slice(1);

/**
 * Binds the layer on an entry of the sandbox's code folder; a second call does nothing. It is an entry because gVisor keeps a mounted
 * folder open: a running sandbox does not see a bind over the folder itself, but sees one on an entry of it.
 */
export async function bindCode({ layout, mountAgent }: StartContext, id: string, tenantId: string, diffId: string): Promise<void> {
  const { code } = layout.instance(id);
  const layer = path.join(layout.layersView, layout.layer(tenantId, diffId), LAYER_CODE);
  if (!(await isBound(layer, code))) await mountAgent.bind(layer, code);
}

export interface TearDown {
  id: string;
  /** Whether the start may have been cut off in the middle. */
  halfMade: boolean;
  /** The tenant whose code was loaded, if any. */
  tenantId?: string | undefined;
}
/** Removes everything of a sandbox, however far its start got. */
export async function tearDown(context: StartContext, { id, halfMade, tenantId }: TearDown): Promise<void> {
  const paths = context.layout.instance(id);
  context.cpuGroups?.leaving(id);
  if (halfMade) await killLeftovers(id, context.binary);
  // runsc cannot read a state file that it was killed in the middle of writing. Then no process of the sandbox runs, and only files are
  // left.
  await context.runsc.remove(id).catch((error: unknown) => {
    if (!halfMade) throw error;
  });
  await context.runsc.forget(id); // what a removal leaves that was cut off
  if (tenantId !== undefined) await context.cpuGroups?.remove(tenantId, id);
  await removeCgroup(context.cgroupOf(id));
  const mounted = await mountPoints();
  for (const target of [paths.code, paths.egress, paths.tmpfs]) if (mounted.has(target)) await unmount(target);
  await removeLogPipes(paths);
  await rm(paths.folder, { recursive: true, force: true });
}
