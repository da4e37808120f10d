// From a version to a running instance of it: take a generic sandbox, place the code, send init.
import type { SandboxDriver, Instance } from "../sandbox/driver.ts";
import type { LayerCache } from "../images/layer-cache.ts";
import { initInstance } from "./instance-client.ts";
import type { VersionInfo } from "./version-info.ts";
import type { WarmPool } from "./warm-pool.ts";

export interface Started {
  instance: Instance;
  timing: { startMs?: number; loadMs: number; initMs: number };
}
export interface StarterOptions {
  driver: SandboxDriver;
  pool: WarmPool;
  layers: LayerCache;
  /** Called when the instance belongs to the version, before the user's code runs: its log lines have an owner from here. */
  onError(error: unknown): void;
}

export function createStarter({ driver, pool, layers, onError }: StarterOptions) {
  return async function start(info: VersionInfo): Promise<Started> {
    const [taken] = await Promise.all([
      pool.take({ kind: "function", base: info.base, isolation: info.isolation, memoryMib: info.memoryMib, egress: false }),
      layers.ensure(info.image.tenantId, info.image.layer),
    ]);
    try {
      const begun = performance.now();
      const instance = await driver.load(taken.instance.id, info.image);
      const loaded = performance.now();
      await initInstance(instance, info.init);
      const timing = { loadMs: loaded - begun, initMs: performance.now() - loaded };
      return { instance, timing: taken.startMs === undefined ? timing : { ...timing, startMs: taken.startMs } };
    } catch (error) {
      driver.stop(taken.instance.id).catch(onError);
      throw error;
    }
  };
}
export type Starter = ReturnType<typeof createStarter>;
