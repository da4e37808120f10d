// Handles the ends of instances, whether the platform stops them or finds them dead. Each end is announced to gateways, noted for the
// tenant of the function, and reported to the gateway that held the lease when it asks why.
import { setTimeout as sleep } from "node:timers/promises";
import type { Sandbox } from "../../sandbox/driver.ts";
import type { Deaths } from "../start/deaths.ts";
import type { InstanceFailure } from "../start/launch.ts";
import type { Instance, InstanceTable } from "./instance-table.ts";
import { createRecentEnds } from "./recent-ends.ts";

/**
 * How long the driver is asked again: a gateway sees a connection end before the sandbox's process is gone, on a busy machine by hundreds
 * of milliseconds.
 */
const END_NOTICE_MS = 1_000;
const END_POLL_MS = 10;

export interface EndsOptions {
  table: InstanceTable;
  deaths: Deaths;
  stopInstance(id: string): Promise<void>;
  listInstances(): Promise<Sandbox[]>;
  emit(change: { type: "instance-ended"; instance: string; reason: string }): void;
  /** An instance ended without being asked to; this goes to the function's log and to `describe`. */
  onFailure(failure: InstanceFailure): void;
  onError(error: unknown): void;
  /** An instance is ending, so a request that waits for room may look again. */
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
      instance.state = "stuck"; // it still exists and counts; the reconciler retries the stop
      onError(error);
    }
  }

  /** Stops an instance and announces its end to the gateway that holds it. */
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
   * Finds instances that ended, by asking the driver; each is noted as a failure and removed. An instance that the driver no longer lists
   * has ended, too. Resolves with all sandboxes of the driver.
   */
  async function reap(): Promise<Sandbox[]> {
    const before = table.all(); // taken first: an instance that is added meanwhile may be missing from the driver's answer
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
    /** Why the instance of a lease ended, if that was a moment ago; answered to its holder only. */
    reasonOf: recent.of,
    /** Resolves when the driver has noticed that these instances ended, or after END_NOTICE_MS. */
    async noticed(broken: readonly Instance[]): Promise<void> {
      for (const until = Date.now() + END_NOTICE_MS; broken.some(({ state }) => state === "ready"); await sleep(END_POLL_MS)) {
        await reap();
        if (Date.now() > until) break;
      }
    },
  };
}
export type Ends = ReturnType<typeof createEnds>;
