// Pre-started generic sandboxes. The pool wraps a driver: it holds only sandboxes that never held a tenant's code, gives each out once, and
// starts the next in the background.
import { PlatformError } from "../../contract/errors.ts";
import type { SandboxDriver, Sandbox } from "../../sandbox/driver.ts";
import { newInstanceId } from "../../service/uuid7.ts";
import { keyName, type PoolKey } from "./pool-key.ts";
import type { Turn, FairQueue } from "../../service/fair-queue.ts";
import { createPoolTargets, type PoolTargetsOptions } from "./pool-targets.ts";

export interface PoolOptions {
  driver: SandboxDriver;
  epoch: number;
  /** Decides whose sandbox is started next. */
  queue: FairQueue;
  /** Which sandboxes the pool should hold. */
  targets: Omit<PoolTargetsOptions, "onExpired">;
  /** Called before the start of a sandbox with access to the egress proxy, so that the proxy's socket exists when it is mounted. */
  prepareEgress(id: string, kind: PoolKey["kind"]): Promise<void>;
  onError(error: unknown): void;
}

/** The pool is refilled this long after a sandbox was taken, because the request that took it needs the processor first. */
const REFILL_DELAY_MS = 150;
const RETRY_DELAY_MS = 2_000;
export interface Taken {
  sandbox: Sandbox;
  /** How long the start took, milliseconds; absent when the sandbox came from the pool. */
  startMs?: number;
}

export function createWarmPool(options: PoolOptions) {
  const { driver } = options;
  const targets = createPoolTargets({ ...options.targets, onExpired: () => schedule(0) });
  const idle = new Map<string, Sandbox[]>();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const inFlight = new Set<Promise<unknown>>();
  const of = (name: string): Sandbox[] => idle.get(name) ?? idle.set(name, []).get(name) ?? [];

  const start = (key: PoolKey, turn: Turn): Promise<Sandbox> =>
    options.queue.run(turn, async () => {
      if (stopped && !turn.urgent) throw new PlatformError("SHUTTING_DOWN", "No more sandboxes are kept ready.");
      const id = newInstanceId();
      if (key.egress) await options.prepareEgress(id, key.kind);
      return driver.start({ ...key, id, epoch: options.epoch });
    });

  function schedule(delayMs: number): void {
    if (stopped) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      refill();
    }, delayMs);
  }

  function refill(): void {
    for (const { key, size } of targets.all()) {
      const name = keyName(key);
      while (!stopped && of(name).length + pending(name) < size) launch(name, key);
    }
    for (const [name, list] of idle)
      for (const surplus of list.splice(targets.sizeOf(name))) driver.stop(surplus.id).catch(options.onError);
  }
  const launching = new Map<string, number>();
  const pending = (name: string) => launching.get(name) ?? 0;

  function launch(name: string, key: PoolKey): void {
    launching.set(name, pending(name) + 1);
    // Not urgent, because no request waits for it. Where sandboxes belong to a tenant, the start counts as that tenant's.
    const work = start(key, { owner: key.tenantId ?? "", urgent: false }).then(
      (sandbox) => (stopped ? driver.stop(sandbox.id) : void of(name).push(sandbox)),
      (error: unknown) => {
        if (!stopped) options.onError(error);
        schedule(RETRY_DELAY_MS);
      },
    );
    const done = work.finally(() => {
      launching.set(name, pending(name) - 1);
      inFlight.delete(done);
      schedule(0);
    });
    inFlight.add(done);
  }

  return {
    /** Takes in sandboxes that were found running after a restart and are still generic: they are as good as new ones. */
    adopt(instances: readonly Sandbox[]): void {
      for (const sandbox of instances) {
        const list = of(keyName(sandbox));
        if (list.length < targets.sizeOf(keyName(sandbox))) list.push(sandbox);
        else void driver.stop(sandbox.id).catch(options.onError);
      }
      schedule(0);
    },
    /**
     * A generic sandbox, from the pool or newly started; from now on the caller must stop it. A turn that is not urgent gets no pooled
     * sandbox that a request of another tenant could use.
     */
    async take(key: PoolKey, turn: Turn): Promise<Taken> {
      const ready = turn.urgent || key.tenantId !== undefined ? of(keyName(key)).shift() : undefined;
      targets.note(key);
      schedule(REFILL_DELAY_MS);
      if (ready !== undefined) return { sandbox: ready };
      const begun = performance.now();
      const sandbox = await start(key, turn);
      return { sandbox, startMs: performance.now() - begun };
    },
    holds: (id: string): boolean => [...idle.values()].some((list) => list.some((sandbox) => sandbox.id === id)),
    /** Forgets a sandbox that ended while it waited in the pool; false when the pool does not hold it. */
    drop(id: string): boolean {
      for (const list of idle.values()) {
        const at = list.findIndex((sandbox) => sandbox.id === id);
        if (at >= 0) {
          list.splice(at, 1);
          schedule(0);
          return true;
        }
      }
      return false;
    },
    /** Drops a tenant's pooled sandboxes (where sandboxes belong to a tenant), because their isolation is now too weak. */
    dropTenant(tenantId: string): void {
      targets.forget((key) => key.tenantId === tenantId);
      schedule(0);
    },
    counts: (): Record<string, number> => Object.fromEntries([...idle].map(([name, list]) => [name, list.length])),
    /** Resolves when the pool holds all wanted sandboxes, or after `timeoutMs`. */
    async whenFull(timeoutMs: number): Promise<void> {
      const end = Date.now() + timeoutMs;
      const full = () => targets.all().every(({ key, size }) => of(keyName(key)).length >= size);
      while (!full() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    /** Starts no more sandboxes; with `stopIdle` it also stops those in the pool. */
    async close(stopIdle: boolean): Promise<void> {
      stopped = true;
      targets.close();
      clearTimeout(timer);
      await Promise.all(inFlight);
      if (stopIdle) await Promise.all([...idle.values()].flat().map((sandbox) => driver.stop(sandbox.id)));
    },
  };
}
export type WarmPool = ReturnType<typeof createWarmPool>;
