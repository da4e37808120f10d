// What the warm pool should hold: a fixed part, and for a while one sandbox of each other kind that was asked for. Memory sizes are a
// closed list, but nobody knows before which of them a platform's functions use.
import { keyName, type PoolKey } from "./pool-key.ts";

export interface Target {
  key: PoolKey;
  size: number;
}
export interface PoolTargetsOptions {
  fixed: readonly Target[];
  /** Sandboxes held of a kind that was asked for; 0: none. */
  demandSize: number;
  /** How long after the last request for it, milliseconds. */
  demandMs: number;
  /** Kinds held on demand; beyond it the one asked for longest ago goes. */
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
    /** Somebody asked for such a sandbox. */
    note(key: PoolKey): void {
      const name = keyName(key);
      // A builder is large and its tenant builds seldom: only a fixed one waits for the next build.
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
