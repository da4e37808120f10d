// A driver that removes a sandbox's source from the egress proxy when the sandbox is gone, whether a worker stopped it, the pool, or the
// reconciler after a restart. Without it each sandbox whose start or stop broke off would leave a source open at the egress proxy.
import type { SandboxDriver } from "../sandbox/driver.ts";
import type { Source } from "./egress-client.ts";

/** How often sources are looked for that no sandbox has, and how old one must be: a start makes it before the driver knows the sandbox. */
const SWEEP_MS = 60_000;
const ORPHAN_MS = 120_000;

interface Sources {
  /** Called for each sandbox that had a source at the egress proxy; it must accept unknown ids. */
  close(id: string): Promise<void>;
  list(): Promise<Source[]>;
  onError(error: unknown): void;
}

export function closingEgress(driver: SandboxDriver, { close, list, onError }: Sources): SandboxDriver {
  /** Ids of sandboxes that have a source; those that an earlier process started are added when they are first listed. */
  const open = new Set<string>();
  let swept = -Infinity;

  async function stop(id: string): Promise<void> {
    await driver.stop(id);
    if (!open.has(id)) return;
    await close(id);
    open.delete(id);
  }
  /** Closes what a stop could not, and what a start left behind that broke off, here or in an earlier process. */
  async function sweep(there: ReadonlySet<string>): Promise<void> {
    if (performance.now() - swept < SWEEP_MS) return;
    swept = performance.now();
    for (const { instance, ageMs } of await list())
      if (ageMs >= ORPHAN_MS && !there.has(instance)) {
        await close(instance);
        open.delete(instance);
      }
  }
  return {
    ...driver,
    async start(spec) {
      if (spec.egress) open.add(spec.id);
      try {
        return await driver.start(spec);
      } catch (error) {
        await stop(spec.id).catch(() => undefined); // only the start's error is reported: it says more
        throw error;
      }
    },
    stop,
    async list() {
      const all = await driver.list();
      for (const { id, egress } of all) if (egress) open.add(id);
      sweep(new Set(all.map(({ id }) => id))).catch(onError);
      return all;
    },
  };
}
