// Who used little processor time goes first. Equal weights share time fairly over seconds; within a tenth of a second, threads of one sandbox
// that hand work to each other keep a processor from another tenant's (systrap's do so at each system call). So every tenant that uses more
// than half of an equal share yields to those that use less (sched(7), SCHED_IDLE, for a whole group). They cannot starve it: together they
// use at most half of the machine, or they would yield themselves. Those that yield share by weight, as before.

export const LIGHT_FIRST = {
  /** How often it is judged, milliseconds: so long a tenant that was light goes before others, whatever it does. */
  everyMs: 250,
  /** How much of what is known of a tenant comes from the last look. */
  newest: 0.4,
  /** Part of an equal share up to which a tenant is light. */
  light: 0.5,
  /** Part of the machine that sandboxes must use; below it nobody waits for anybody. */
  busy: 0.4,
  /** Processors' worth below which a tenant is not there: it makes nobody's share smaller, and is forgotten when it has no instance. */
  present: 0.01,
} as const;

export interface LightFirstOptions {
  processors: number;
  /** Seconds of processor time that all sandboxes ever took; undefined: the kernel does not count it. */
  total(): number | undefined;
  /** The same of one instance; smaller than before when it is gone. */
  of(tenantId: string, id: string): number;
  /** Told when it changes: a heavy tenant yields. */
  judged(tenantId: string, heavy: boolean): void;
}

/** Tenants that yield, by the processors' worth that each used of late. */
export function heavyOf(used: ReadonlyMap<string, number>, processors: number): Set<string> {
  const present = [...used].filter(([, amount]) => amount >= LIGHT_FIRST.present);
  const limit = (processors / Math.max(1, present.length)) * LIGHT_FIRST.light;
  return new Set(present.filter(([, amount]) => amount > limit).map(([tenantId]) => tenantId));
}

export function createLightFirst({ processors, total, of, judged }: LightFirstOptions) {
  const instances = new Map<string, { tenantId: string; seconds: number }>();
  const used = new Map<string, number>();
  let heavy = new Set<string>();
  let before = { at: performance.now(), total: total() ?? 0, busy: false };
  let timer: NodeJS.Timeout | undefined;

  /** Processors' worth that each tenant's instances took since the last look. */
  function look(seconds: number): Map<string, number> {
    const taken = new Map<string, number>();
    for (const [id, known] of instances) {
      const now = Math.max(known.seconds, of(known.tenantId, id));
      taken.set(known.tenantId, (taken.get(known.tenantId) ?? 0) + (now - known.seconds) / seconds);
      known.seconds = now;
    }
    return taken;
  }
  function remember(taken: ReadonlyMap<string, number>): void {
    const { newest, present } = LIGHT_FIRST;
    for (const tenantId of new Set([...used.keys(), ...taken.keys()])) {
      const amount = (used.get(tenantId) ?? 0) * (1 - newest) + (taken.get(tenantId) ?? 0) * newest;
      if (amount < present / 10) used.delete(tenantId);
      else used.set(tenantId, amount);
    }
  }
  function turn(): void {
    const [at, all] = [performance.now(), total() ?? 0];
    const seconds = (at - before.at) / 1000;
    const busy = all - before.total > LIGHT_FIRST.busy * processors * seconds;
    // Where nobody waits nobody needs to be judged, and a thousand files need not be read. The first look after that only says where each is.
    const taken = busy ? look(seconds) : new Map<string, number>();
    remember(before.busy ? taken : new Map());
    before = { at, total: all, busy };
    const heavyNow = heavyOf(used, processors);
    for (const tenantId of heavyNow) if (!heavy.has(tenantId)) judged(tenantId, true);
    for (const tenantId of heavy) if (!heavyNow.has(tenantId)) judged(tenantId, false);
    heavy = heavyNow;
    if (instances.size > 0 || used.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  return {
    isHeavy: (tenantId: string): boolean => heavy.has(tenantId),
    add(tenantId: string, id: string): void {
      instances.set(id, { tenantId, seconds: of(tenantId, id) });
      if (timer !== undefined) return;
      before = { at: performance.now(), total: total() ?? 0, busy: false };
      timer = setInterval(turn, LIGHT_FIRST.everyMs).unref();
    },
    remove: (id: string): void => void instances.delete(id),
  };
}
