// SandboxDriver on one machine: gVisor by runsc, no Kubernetes. The only code of the platform that runs as root (SECURITY I2).
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { PlatformError } from "../../contract/errors.ts";
import type { Isolation } from "../../contract/names.ts";
import { createKeyedMutex } from "../../service/keyed-mutex.ts";
import { settledLoads, type ImageRef, type Sandbox, type SandboxDriver, type SandboxSpec } from "../driver.ts";
import { oomKills } from "./cgroup.ts";
import { createCpuGroups, firstPlaceOf, type CpuGroups } from "./cpu-groups.ts";
import { findCpuHierarchy } from "./cpu-hierarchy.ts";
import { createLayout, type RunscPaths } from "./layout.ts";
import { closeAll, hasLogPipes, holdOpen, nameChannel, removeLogPipes } from "./log-pipes.ts";
import { createMountShell } from "./mount-shell.ts";
import { makeShared, readOnlyView, releaseNullNetns } from "./mounts.ts";
import { isAlive } from "./process-state.ts";
import { readRecords, saveRecord, type InstanceRecord } from "./record.ts";
import { RUNSC_FLOOR, createRunsc } from "./runsc.ts";
import { LAYER_CODE, bindCode, bringUp, tearDown, type StartContext } from "./start.ts";

export interface RunscDriverOptions {
  binary: string;
  paths: RunscPaths;
  /** Group whose processes may connect to instances (gateway and control plane). */
  dataGid: number;
  /** Group of the log collector. */
  logGid: number;
  /** User of the egress proxy. */
  egressUid: number;
  /** Folder of cgroups, e.g. `/fnctl-1a2b3c4d`: two platforms on one machine do not share it. */
  cgroupParent: string;
  /** Gets errors of work in the background, which no method call can report. */
  onError(error: unknown): void;
}
const ISOLATIONS: readonly Isolation[] = ["gvisor"];
/** Each instance has a host uid of its own, far above those of people and services. */
const uidFor = (id: string): number => 1_000_000 + (Number.parseInt(id.slice(0, 7), 16) % 100_000_000);

/** Prepares the host, adopts sandboxes that an earlier driver left running, and removes those that it left half-made. */
export async function createRunscDriver(options: RunscDriverOptions): Promise<SandboxDriver> {
  const layout = createLayout(options.paths);
  const runsc = createRunsc(options.binary, layout.runscRoot);
  const cgroupOf = (id: string) => firstPlaceOf(options.cgroupParent, id);
  const { binary, dataGid, logGid, egressUid } = options;
  const hierarchy = await findCpuHierarchy();
  const cpuGroups = hierarchy === undefined ? undefined : createCpuGroups(hierarchy, options.cgroupParent, options.onError);
  const context: StartContext = { layout, cpuGroups, runsc, cgroupOf, binary, dataGid, logGid, egressUid, mountAgent: createMountShell() };
  const records = new Map<string, InstanceRecord>();
  const held = new Map<string, number[]>();
  /** One method call at a time for each sandbox. */
  const serial = createKeyedMutex();
  const stopping = new Set<string>();
  const placing = new Map<string, Promise<void>>();

  await checkRelease(runsc);
  await prepareHost(options, layout);
  await cpuGroups?.prepare();
  await adopt();

  /**
   * Takes over sandboxes that an earlier driver left running, and removes those that it left half made or half removed. Whatever is wrong with one
   * of them must not keep the driver, and with it the platform, from beginning.
   */
  async function adopt(): Promise<void> {
    for (const { id, record } of await readRecords(layout))
      await adoptOne(id, record).catch((error: unknown) => {
        options.onError(error);
        if (record === undefined) return; // nobody knows it; the next driver tries again
        const { address: _gone, ...instance } = record.instance;
        const ended = { reason: "exited" as const, detail: "It could not be removed when the driver began again." };
        records.set(id, { ...record, instance: { ...instance, state: "ended", ended } }); // listed, so that its stop is asked for
      });
    for (const id of await readdir(layout.logs)) if (!records.has(id)) await removeLogPipes(layout.instance(id));
  }

  async function adoptOne(id: string, record: InstanceRecord | undefined): Promise<void> {
    const isWhole = record?.pid !== undefined && record.instance.state !== "starting" && hasLogPipes(layout.instance(id));
    if (record === undefined || !isWhole) return tearDown(context, { id, halfMade: true, tenantId: record?.instance.image?.tenantId });
    records.set(id, record);
    held.set(id, holdOpen(layout.instance(id)));
    placeLater(record); // the earlier driver may have been killed before it did this
  }

  async function start(spec: SandboxSpec): Promise<Sandbox> {
    const known = records.get(spec.id);
    if (known !== undefined) return structuredClone(known.instance);
    refuseUnsupported(spec, layout);
    const record: InstanceRecord = {
      instance: { ...spec, state: "starting", startedAt: Date.now() },
      uid: uidFor(spec.id),
      cgroupsPath: cgroupOf(spec.id),
    };
    records.set(spec.id, record);
    try {
      await bringUp(context, record, (fds) => held.set(spec.id, fds));
    } catch (error) {
      const causes = [
        error,
        ...(await stop(spec.id).then(
          () => [],
          (left: unknown) => [left],
        )),
      ];
      if (error instanceof PlatformError && causes.length === 1) throw error;
      throw new PlatformError("SANDBOX_FAILED", "The sandbox did not start.", {
        cause: causes.length === 1 ? error : new AggregateError(causes),
      });
    }
    return structuredClone(record.instance);
  }

  async function load(id: string, image: ImageRef): Promise<Sandbox> {
    const record = await alive(id);
    const { instance } = record;
    if (instance.image !== undefined && JSON.stringify(instance.image) !== JSON.stringify(image))
      throw new PlatformError("CONFLICT", "The sandbox already belongs to another version.");
    const layer = path.join(layout.layersView, layout.layer(image.tenantId, image.layer), LAYER_CODE);
    if (!existsSync(layer)) throw new PlatformError("SANDBOX_FAILED", "The version's layer is not unpacked on this machine.");
    if (instance.image === undefined) {
      instance.image = image;
      instance.state = "loaded";
      saveRecord(layout, record); // before the mount: whatever happens next, it is never generic again
    }
    const channel = { instance: id, tenantId: image.tenantId, functionId: image.functionId, version: image.version };
    placeLater(record);
    await Promise.all([bindCode(context, id, image.tenantId, image.layer), nameChannel(layout.instance(id), channel, options.logGid)]);
    return structuredClone(instance);
  }

  /** Moves an instance to its tenant's processor group. No request waits for this: until then the instance has a share of its own. */
  function placeLater({ instance: { id, image } }: InstanceRecord): void {
    if (image === undefined || cpuGroups === undefined) return;
    placing.set(
      id,
      cpuGroups.place(image.tenantId, id).catch((error: unknown) => {
        if (!stopping.has(id) && records.has(id)) options.onError(error);
      }),
    );
  }

  async function alive(id: string): Promise<InstanceRecord> {
    const record = records.get(id);
    if (record === undefined) throw new PlatformError("NOT_FOUND", "No such sandbox.");
    await noteEnd(record, cpuGroups);
    if (record.instance.state === "ended") throw new PlatformError("FUNCTION_CRASHED", "The sandbox has ended.");
    return record;
  }

  /** A sandbox that could not be removed completely stays listed, so that the control plane retries the stop. */
  async function stop(id: string): Promise<void> {
    const halfMade = records.get(id)?.instance.address === undefined;
    const tenantId = records.get(id)?.instance.image?.tenantId;
    stopping.add(id);
    await placing.get(id); // otherwise it could make the tenant's group again after its removal
    placing.delete(id);
    try {
      closeAll(held.get(id) ?? []);
      held.delete(id);
      if (existsSync(layout.instance(id).folder)) await tearDown(context, { id, halfMade, tenantId });
      records.delete(id);
    } finally {
      stopping.delete(id);
    }
    if (records.size === 0) await releaseNullNetns(layout.runscRoot);
  }

  async function list(): Promise<Sandbox[]> {
    await Promise.all([...records.values()].map((record) => noteEnd(record, cpuGroups)));
    return [...records.values()].filter(({ instance }) => !stopping.has(instance.id)).map(({ instance }) => structuredClone(instance));
  }

  async function removeTenant(tenantId: string): Promise<void> {
    const theirs = [...records.values()].filter((record) => record.instance.image?.tenantId === tenantId);
    await Promise.all(theirs.map((record) => serial(record.instance.id, () => stop(record.instance.id))));
  }

  const loadInTurn = (id: string, image: ImageRef) => serial(id, () => load(id, image));
  return {
    name: "runsc",
    isolations: ISOLATIONS,
    start: (spec) => serial(spec.id, () => start(spec)),
    load: loadInTurn,
    ...settledLoads(loadInTurn),
    stop: (id) => serial(id, () => stop(id)),
    list,
    removeTenant,
  };
}

async function checkRelease(runsc: ReturnType<typeof createRunsc>): Promise<void> {
  const release = await runsc.release();
  if (release >= RUNSC_FLOOR) return;
  throw new PlatformError("ISOLATION_UNAVAILABLE", `runsc ${release} is older than the security floor ${RUNSC_FLOOR}.`, {
    hint: "Install a newer gVisor release.",
  });
}

async function prepareHost({ paths, logGid }: RunscDriverOptions, layout: ReturnType<typeof createLayout>): Promise<void> {
  for (const folder of [layout.instances, layout.logs, layout.layersView]) await mkdir(folder, { recursive: true });
  await chmod(layout.instances, 0o711);
  await chown(layout.logs, 0, logGid);
  await chmod(layout.logs, 0o750);
  await mkdir(layout.runscRoot, { recursive: true, mode: 0o700 });
  await makeShared(layout.instances);
  await readOnlyView(paths.layersDir, layout.layersView);
}

function refuseUnsupported(spec: SandboxSpec, layout: ReturnType<typeof createLayout>): void {
  if (!ISOLATIONS.includes(spec.isolation)) {
    throw new PlatformError("ISOLATION_UNAVAILABLE", `This machine offers no ${spec.isolation} isolation.`, {
      hint: "Kata needs the Kubernetes mode with nodes set up for it; on one machine every function runs in gVisor.",
    });
  }
  if (!existsSync(path.join(layout.base(spec.base), "process.json")))
    throw new PlatformError("SANDBOX_FAILED", `The base image ${spec.base} is not on this machine.`);
}

/** Notices that a sandbox has ended, and why, while the cgroup that counted its out-of-memory kills still exists. */
async function noteEnd(record: InstanceRecord, cpuGroups: CpuGroups | undefined): Promise<void> {
  const { instance, pid, ticks } = record;
  if (instance.state === "ended" || pid === undefined || ticks === undefined || isAlive(pid, ticks)) return;
  const { id, image } = instance;
  const places = [record.cgroupsPath, ...(image === undefined || cpuGroups === undefined ? [] : [cpuGroups.placeOf(image.tenantId, id)])];
  const kills = (await Promise.all(places.map((place) => oomKills(place)))).reduce<number>((sum, count) => sum + (count ?? 0), 0);
  instance.state = "ended";
  instance.ended =
    kills > 0
      ? { reason: "oom", detail: `It used more than its ${instance.memoryMib} MiB of memory.` }
      : { reason: "exited", detail: "Its process ended by itself." };
}
