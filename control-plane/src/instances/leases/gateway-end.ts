// What is left when a gateway's process has ended: its leases are void at once. But what its requests began in the instances may still run
// there, so an instance is handed out again only when it says that no handler runs.
import { readHolder, type GatewayEnded } from "../../contract/holder.ts";
import type { Instance, InstanceTable } from "./instance-table.ts";

export interface SettlingOptions {
  /** Resolves when no handler runs in the instance, false after so many milliseconds; rejects when it cannot be asked. */
  whenSettled(instance: Instance["sandbox"], timeoutMs: number): Promise<boolean>;
  stop(instance: Instance): Promise<void>;
  /** Something may have become free. */
  wake(): void;
}

/** Takes the leases of the ended processes back; answers whose they were. */
export function voidLeases(table: InstanceTable, { gateway, before = Number.POSITIVE_INFINITY }: GatewayEnded): Instance[] {
  const held = table.all().filter(({ lease }) => {
    const holder = lease === undefined ? undefined : readHolder(lease.holder);
    return holder?.gateway === gateway && holder.startedAt < before;
  });
  for (const instance of held) {
    table.lease(instance, undefined);
    instance.unsettled = true;
  }
  return held;
}

export function createSettling({ whenSettled, stop, wake }: SettlingOptions) {
  const asked = new Map<Instance, Promise<void>>();

  async function ask(instance: Instance, timeoutMs: number): Promise<void> {
    const isSettled = await whenSettled(instance.sandbox, timeoutMs).catch(() => false);
    if (isSettled) delete instance.unsettled;
    else if (instance.lease === undefined) await stop(instance);
    asked.delete(instance);
    wake();
  }
  return {
    /** Asks an unsettled instance, once at a time. One that does not say so within its requests' own limit, `timeoutMs`, is stopped. */
    begin(instance: Instance, timeoutMs: number): void {
      if (instance.unsettled === true && !asked.has(instance)) asked.set(instance, ask(instance, timeoutMs));
    },
  };
}
export type Settling = ReturnType<typeof createSettling>;
