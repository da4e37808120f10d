// A driver that closes a sandbox's way out when the sandbox is gone, whoever stopped it: a worker, the pool, or the reconciler after a
// restart. Without it each builder that nobody finished would leave a source open at the egress proxy.
import type { SandboxDriver } from "../sandbox/driver.ts";

/** `close` is called once for each sandbox that had a way out; unknown ones are no error to it. */
export function closingEgress(driver: SandboxDriver, close: (id: string) => Promise<void>): SandboxDriver {
  /** Sandboxes with a way out, those of an earlier process too once they were listed. */
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
        await stop(spec.id).catch(() => undefined); // the start's own error says more
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
