// A driver that removes a sandbox's source from the egress proxy when the sandbox is gone, whether a worker stopped it, the pool, or the
// reconciler after a restart. Without it each builder whose build broke off would leave a source open at the egress proxy.
import type { SandboxDriver } from "../sandbox/driver.ts";

/** `close` is called once for each sandbox that had a source at the egress proxy; it must accept unknown ids. */
export function closingEgress(driver: SandboxDriver, close: (id: string) => Promise<void>): SandboxDriver {
  /** Ids of sandboxes that have a source; those that an earlier process started are added when they are first listed. */
  const open = new Set<string>();
  async function stop(id: string): Promise<void> {
    await driver.stop(id);
    if (!open.has(id)) return;
    await close(id);
    open.delete(id);
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
      return all;
    },
  };
}
