// The loop that keeps the right instances running: it starts `min` instances of live versions and stops idle and lost ones.
// Level-triggered: each turn looks at all instances.
import type { Route } from "../../contract/internal.ts";
import type { LeaseManager } from "../leases/lease-manager.ts";
import { createMinimum } from "./minimum.ts";
import { decideReap } from "./reap.ts";
import { createServed } from "./served.ts";
import { createUnknownSandboxes } from "./unknown-sandboxes.ts";
import type { VersionInfoCache } from "../start/version-info.ts";
import type { WarmPool } from "../pool/warm-pool.ts";
import type { Sandbox, SandboxDriver } from "../../sandbox/driver.ts";

const TURN_MS = 1_000;
export interface ReconcilerOptions {
  leases: LeaseManager;
  driver: SandboxDriver;
  pool: WarmPool;
  versions: VersionInfoCache;
  routes: { get(functionId: string): Route | undefined; values(): Iterable<Route> };
  onError(error: unknown): void;
}

export function createReconciler({ leases, driver, pool, versions, routes, onError }: ReconcilerOptions) {
  const { isLive, minOf } = createServed(routes);
  const minimum = createMinimum({ leases, versions, onError });
  const unknown = createUnknownSandboxes();

  /**
   * Sandboxes whose stop is under way. A turn does not wait for it: a cluster takes a minute to say that a lost node does not confirm a
   * stop.
   */
  const dropping = new Set<string>();
  function drop(id: string): void {
    if (dropping.has(id)) return;
    dropping.add(id);
    void driver
      .stop(id)
      .catch(onError)
      .finally(() => dropping.delete(id));
  }

  /** Level-triggered: a failed stop, whoever asked for it, is retried until the driver has no unused sandbox left. */
  function dropUnused(instances: readonly Sandbox[], now: number): void {
    const isKnown = (id: string) => leases.table.get(id) !== undefined || pool.holds(id);
    const ended = instances.filter(({ id, ended: end }) => end !== undefined && leases.table.get(id) === undefined && pool.drop(id));
    for (const id of [...ended.map((one) => one.id), ...unknown.due(instances, isKnown, now)]) drop(id);
    for (const instance of leases.table.all()) if (instance.state === "stuck") void leases.stop(instance);
  }

  async function turn(now = Date.now()): Promise<void> {
    const instances = await leases.reapEnded();
    await leases.isolation.look();
    dropUnused(instances, now);
    for (const { instance } of decideReap({ instances: leases.table.all(), now, minOf, isLive })) void leases.stop(instance);
    minimum.look(
      [...routes.values()].filter(({ min }) => min > 0),
      now,
    );
  }

  let timer: NodeJS.Timeout | undefined;
  let running = Promise.resolve();
  return {
    isLive,
    minOf,
    /** Runs the loop's body once; `run` repeats it. */
    turn,
    /** After a restart: takes over running sandboxes, and stops those that are broken or belong to no known version. */
    async adopt(): Promise<void> {
      const generic = [];
      for (const sandbox of await driver.list()) {
        const info =
          sandbox.image === undefined
            ? undefined
            : await versions.get(sandbox.image.functionId, sandbox.image.versionId).catch(() => undefined);
        if (info !== undefined && sandbox.state === "loaded") leases.adopt(sandbox, info);
        // A builder is not adopted: it may have held a tenant's source, so it must not be given out again.
        else if (sandbox.kind === "function" && sandbox.state === "idle") generic.push(sandbox);
        // Not awaited: a cluster takes seconds to confirm a stop, and the platform would not answer meanwhile. Later turns retry a failed
        // stop.
        else driver.stop(sandbox.id).catch(onError);
      }
      pool.adopt(generic);
    },
    run(): void {
      const loop = () => {
        running = turn().catch(onError);
        void running.then(() => (timer = setTimeout(loop, TURN_MS)));
      };
      timer = setTimeout(loop, TURN_MS);
    },
    async close(): Promise<void> {
      clearTimeout(timer);
      await running;
      clearTimeout(timer);
    },
  };
}
export type Reconciler = ReturnType<typeof createReconciler>;
