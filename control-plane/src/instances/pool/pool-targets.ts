// What the warm pool should hold: a fixed part, and for a while some sandboxes of each other kind that was requested. Memory sizes are a
// closed list, but it is not known beforehand which of them a platform's functions use.
import { keyName, type PoolKey } from "./pool-key.ts";

export interface Target {
  key: PoolKey;
  size: number;
}
export interface PoolTargetsOptions {
  fixed: readonly Target[];
  /** How many sandboxes of a requested kind are held; 0 turns this off. */
  demandSize: number;
  /** How long after its last request a kind is held, milliseconds. */
  demandMs: number;
  /** The most kinds held on demand; beyond that the kind with the oldest last request is dropped. */
  demandKinds: number;
  /** Called when a kind is no longer held. */
  onExpired(): void;
}

export function createPoolTargets(options: PoolTargetsOptions) {
  const fixed = new Map(options.fixed.map((target) => [keyName(target.key), target]));
  /** Oldest first: a Map keeps the order of insertion. */
  const demanded = new Map<string, { target: Target; timer: NodeJS.Timeout }>();

  function forget(name: string): void {
    clearTimeout(demanded.get(name)?.timer);
    if (demanded.delete(name)) options.onExpired();
  }
  return {
    /** Notes that a sandbox of this kind was requested. */
    note(key: PoolKey): void {
      const name = keyName(key);
      // Builders are not held on demand: they are large, and a tenant seldom builds. Only the fixed part may hold some.
      if (fixed.has(name) || options.demandSize === 0 || key.kind === "builder") return;
      clearTimeout(demanded.get(name)?.timer);
      demanded.delete(name);
      const timer = setTimeout(() => forget(name), options.demandMs).unref();
      demanded.set(name, { target: { key, size: options.demandSize }, timer });
      const [oldest] = demanded.keys();
      if (demanded.size > options.demandKinds && oldest !== undefined) forget(oldest);
    },
    forget(which: (key: PoolKey) => boolean): void {
      for (const [name, { target }] of demanded) if (which(target.key)) forget(name);
    },
    sizeOf: (name: string): number => fixed.get(name)?.size ?? demanded.get(name)?.target.size ?? 0,
    all: (): Target[] => [...fixed.values(), ...[...demanded.values()].map(({ target }) => target)],
    close(): void {
      for (const { timer } of demanded.values()) clearTimeout(timer);
    },
  };
}
