// How instances end: stopped by the platform, or found dead. Each end is announced to gateways, noted for the function's owner, and told to
// the holder who asks why.
import { setTimeout as sleep } from "node:timers/promises";
import type { Sandbox } from "../../sandbox/driver.ts";
import type { Deaths } from "../start/deaths.ts";
import type { InstanceFailure } from "../start/launch.ts";
import type { Instance, InstanceTable } from "./instance-table.ts";
import { createRecentEnds } from "./recent-ends.ts";

/** A gateway sees a connection end before the sandbox's process is gone, on a busy machine hundreds of milliseconds: so long the driver is asked again. */
const END_NOTICE_MS = 1_000;
const END_POLL_MS = 10;

export interface EndsOptions {
  table: InstanceTable;
  deaths: Deaths;
  stopInstance(id: string): Promise<void>;
  listInstances(): Promise<Sandbox[]>;
  emit(change: { type: "instance-ended"; instance: string; reason: string }): void;
  /** An instance ended against its will: for its owner's log and `describe`. */
  onFailure(failure: InstanceFailure): void;
  onError(error: unknown): void;
  /** Something ends, so who waits for room may look again. */
  onEnding(): void;
}

export function createEnds({ table, deaths, stopInstance, listInstances, emit, onFailure, onError, onEnding }: EndsOptions) {
  const recent = createRecentEnds();

  async function stop(instance: Instance): Promise<void> {
    if (instance.state === "stopping") return;
    instance.state = "stopping";
    onEnding();
    try {
      await stopInstance(instance.sandbox.id);
      table.remove(instance);
    } catch (error) {
      instance.state = "stuck"; // it still exists and counts; the reconciler asks again
      onError(error);
    }
  }

  /** Stops it and tells whoever holds it. */
  function announce(instance: Instance, reason: string): void {
    emit({ type: "instance-ended", instance: instance.sandbox.id, reason });
    void stop(instance);
  }

  function noteFailure(instance: Instance, why: { reason: string; detail: string }): void {
    const { tenantId, functionId, versionId, version } = instance;
    deaths.ended(versionId, Date.now() - instance.since);
    onFailure({ tenantId, functionId, version, instance: instance.sandbox.id, ...why });
  }

  /**
   * Why instances ended, as the driver says it; each is noted for its owner and removed. One that the driver no longer has is gone too.
   * Resolves with all that the driver has.
   */
  async function reap(): Promise<Sandbox[]> {
    const before = table.all(); // what is added while the driver answers may not be in its answer
    const sandboxes = await listInstances();
    const listed = new Map(sandboxes.map((sandbox) => [sandbox.id, sandbox]));
    for (const instance of before) {
      const found = listed.get(instance.sandbox.id);
      const ended = found === undefined ? { reason: "exited", detail: "The sandbox is gone." } : found.ended;
      if (instance.state !== "ready" || ended === undefined) continue;
      recent.note(instance.lease, ended);
      noteFailure(instance, ended);
      announce(instance, ended.reason);
    }
    return sandboxes;
  }

  return {
    stop,
    announce,
    noteFailure,
    reap,
    /** Why the holder's instance ended, if it did a moment ago. */
    reasonOf: recent.of,
    /** Resolves when the driver has noticed that these ended, or was given its time for it. */
    async noticed(broken: readonly Instance[]): Promise<void> {
      for (const until = Date.now() + END_NOTICE_MS; broken.some(({ state }) => state === "ready"); await sleep(END_POLL_MS)) {
        await reap();
        if (Date.now() > until) break;
      }
    },
  };
}
export type Ends = ReturnType<typeof createEnds>;
