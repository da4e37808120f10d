// The loop that keeps instances as they should be: `min` of live versions running, idle and lost ones stopped. Level-triggered: each
// turn looks at all there is.
import type { Route } from "../contract/internal.ts";
import type { LeaseManager } from "./lease-manager.ts";
import { decideReap } from "./reap.ts";
import type { VersionInfoCache } from "./version-info.ts";
import type { WarmPool } from "./warm-pool.ts";
import type { SandboxDriver } from "../sandbox/driver.ts";

export const TURN_MS = 1_000;
export interface ReconcilerOptions {
  leases: LeaseManager;
  driver: SandboxDriver;
  pool: WarmPool;
  versions: VersionInfoCache;
  routes: { get(functionId: string): Route | undefined; withMin(): Route[] };
  onError(error: unknown): void;
}

export function createReconciler({ leases, driver, pool, versions, routes, onError }: ReconcilerOptions) {
  const isLive = (functionId: string, versionId: string) =>
    routes.get(functionId)?.targets.some((target) => target.versionId === versionId) ?? false;
  const minOf = (functionId: string, versionId: string) => (isLive(functionId, versionId) ? (routes.get(functionId)?.min ?? 0) : 0);

  async function keepMinimum(route: Route): Promise<void> {
    const target = route.targets[0];
    if (target === undefined) return;
    const have = leases.table.ofVersion(target.versionId).length + leases.startingOf(target.versionId);
    const info = await versions.get(route.functionId, target.versionId);
    for (let missing = route.min - have; missing > 0; missing--) leases.launch(info).catch(onError);
  }

  async function dropEndedIdle(): Promise<void> {
    for (const instance of await driver.list()) {
      if (instance.ended !== undefined && leases.table.get(instance.id) === undefined && pool.drop(instance.id))
        await driver.stop(instance.id);
    }
  }

  async function turn(): Promise<void> {
    await leases.reapEnded();
    await dropEndedIdle();
    for (const { managed } of decideReap({ instances: leases.table.all(), now: Date.now(), minOf, isLive })) void leases.stop(managed);
    for (const route of routes.withMin()) await keepMinimum(route);
  }

  let timer: NodeJS.Timeout | undefined;
  let running = Promise.resolve();
  return {
    isLive,
    minOf,
    /** After a restart: what runs is taken over, what is broken or of no known version is stopped. */
    async adopt(): Promise<void> {
      const generic = [];
      for (const instance of await driver.list()) {
        const info =
          instance.image === undefined
            ? undefined
            : await versions.get(instance.image.functionId, instance.image.versionId).catch(() => undefined);
        if (info !== undefined && instance.state === "loaded") leases.adopt(instance, info);
        // A builder may have held a tenant's source: never given out again.
        else if (instance.kind === "function" && instance.state === "idle") generic.push(instance);
        else await driver.stop(instance.id);
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
