// What each function and each tenant has moved through this proxy today (UTC), and how much it may: a function over its cap is refused until the
// day ends, and others notice nothing. In a cluster each proxy counts its own; a proxy that begins again begins to count.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { EgressSource, EgressUse } from "@fnctl/control-plane/contract/internal";
import { EGRESS_LIMITS } from "./limits.ts";

/** The most of a day. Bytes are those of both directions. */
export type DayCaps = Record<keyof typeof EGRESS_LIMITS.dayCaps, number>;
type Direction = "bytesUp" | "bytesDown";
interface Day {
  bytes: number;
  connections: number;
}
interface FunctionDay extends Day {
  use: EgressUse;
  isTold: boolean;
}

const DAY_MS = 24 * 3600 * 1000;
const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** One connection's part in it. */
export interface Metered {
  /** Counts bytes that were moved; returns why no more may be, when the day's cap is reached by them. */
  add(bytes: number, direction: Direction): PlatformError | undefined;
  /** The connection has ended. */
  end(ms: number): void;
}
/** Builds are not metered here: they are few, and bounded each. */
const UNMETERED: Metered = { add: () => undefined, end: () => undefined };

export class Meter {
  private readonly caps: DayCaps;
  private readonly now: () => number;
  private readonly functions = new Map<string, FunctionDay>();
  private readonly tenants = new Map<string, Day>();
  private today = "";
  private endsAt = 0;

  /** `caps`: those that are not as usual. */
  constructor(caps: { [Name in keyof DayCaps]?: number | undefined } = {}, now: () => number = Date.now) {
    const usual: DayCaps = { ...EGRESS_LIMITS.dayCaps };
    for (const name of Object.keys(usual) as (keyof DayCaps)[]) usual[name] = caps[name] ?? usual[name];
    this.caps = usual;
    this.now = now;
  }

  /** Throws QUOTA_EXCEEDED. */
  begin({ tenantId, functionId }: EgressSource): Metered {
    if (tenantId === null || functionId === null) return UNMETERED;
    let [own, all] = this.of(tenantId, functionId);
    const { caps } = this;
    /** Whether so many more are too many. */
    const overBytes = (by: number): PlatformError | undefined => {
      if (own.bytes + by > caps.functionBytes) return usedUp("this function", `${caps.functionBytes} bytes`);
      return all.bytes + by > caps.tenantBytes ? usedUp("all functions of the tenant", `${caps.tenantBytes} bytes`) : undefined;
    };
    const refusal = overBytes(1);
    if (refusal !== undefined) throw refusal;
    if (own.connections >= caps.functionConnections) throw usedUp("this function", `${caps.functionConnections} connections`);
    if (all.connections >= caps.tenantConnections) throw usedUp("all functions of the tenant", `${caps.tenantConnections} connections`);
    own.connections += 1;
    all.connections += 1;
    own.use.connections += 1;
    own.isTold = false;
    const turnThePage = (): void => {
      if (this.now() >= this.endsAt || own.use.day !== this.today) [own, all] = this.of(tenantId, functionId);
    };
    return {
      add(bytes, direction) {
        turnThePage();
        if (bytes <= 0) return undefined; // what is taken back may have been counted yesterday, and no sum is below nothing
        own.bytes += bytes;
        all.bytes += bytes;
        own.use[direction] += bytes;
        own.isTold = false;
        return overBytes(0);
      },
      end(ms) {
        turnThePage();
        own.use.openMs += Math.round(ms);
        own.isTold = false;
      },
    };
  }

  /** Of today: what was counted before belongs to its own day, which is told and then forgotten. */
  private of(tenantId: string, functionId: string): [FunctionDay, Day] {
    const now = this.now();
    if (now >= this.endsAt) {
      this.today = dayOf(now);
      this.endsAt = (Math.floor(now / DAY_MS) + 1) * DAY_MS;
      this.tenants.clear();
    }
    const key = `${functionId} ${this.today}`;
    let own = this.functions.get(key);
    if (own === undefined) {
      const use = { tenantId, functionId, day: this.today, connections: 0, bytesUp: 0, bytesDown: 0, openMs: 0 };
      own = { bytes: 0, connections: 0, use, isTold: true };
      this.functions.set(key, own);
    }
    let all = this.tenants.get(tenantId);
    if (all === undefined) this.tenants.set(tenantId, (all = { bytes: 0, connections: 0 }));
    return [own, all];
  }

  /** Sums that were not told as they are now, at most so many. */
  untold(most: number): EgressUse[] {
    const found: EgressUse[] = [];
    for (const own of this.functions.values()) {
      if (found.length >= most) break;
      if (!own.isTold) found.push({ ...own.use });
    }
    return found;
  }
  /** These have been told; what was moved meanwhile is told the next time. Days that are over are forgotten then. */
  told(uses: readonly EgressUse[]): void {
    for (const use of uses) {
      const key = `${use.functionId} ${use.day}`;
      const own = this.functions.get(key);
      if (own === undefined) continue;
      own.isTold = AMOUNTS.every((name) => own.use[name] === use[name]);
      if (own.isTold && use.day !== this.today) this.functions.delete(key);
    }
  }
}
const AMOUNTS = ["connections", "bytesUp", "bytesDown", "openMs"] as const;

const usedUp = (who: string, what: string): PlatformError =>
  new PlatformError("QUOTA_EXCEEDED", `The ${what} that ${who} may use in a day are used up.`, {
    hint: "It begins anew at midnight UTC. See `fnctl egress usage`; the platform's operator can raise it (FNCTL_EGRESS_DAY_CAPS).",
  });
