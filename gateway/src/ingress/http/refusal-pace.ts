// How fast requests of one address are refused. A refusal costs its sender nothing and the gateway a request's work, and whoever gets it at
// once asks again at once: 50 connections took two thirds of a processor, and others waited behind them. Whoever waits for refusals
// asks no more often than they come.
import { GATEWAY_LIMITS } from "../limits.ts";

export interface PaceLimits {
  /** Refusals of one address a second, and how many of them may come at once. */
  perSecond: number;
  burst: number;
  /** The longest wait, milliseconds. */
  waitMs: number;
  /** The most addresses that are remembered. */
  addresses: number;
}

export class RefusalPace {
  private readonly limits: PaceLimits;
  /** When an address will have paid for all its refusals (the generic cell rate algorithm, ITU-T I.371); the last one to ask is the last. */
  private readonly paidAt = new Map<string, number>();

  constructor(limits: PaceLimits = GATEWAY_LIMITS.refusals) {
    this.limits = limits;
  }

  /** Counts one refusal; returns how long its answer waits, milliseconds. An undefined address is many clients', of whom none shall pay. */
  wait(address: string | undefined, now = performance.now()): number {
    if (address === undefined) return 0;
    const { perSecond, burst, waitMs, addresses } = this.limits;
    const interval = 1_000 / perSecond;
    const paidAt = Math.min(Math.max(this.paidAt.get(address) ?? 0, now) + interval, now + burst * interval + waitMs);
    this.paidAt.delete(address);
    this.paidAt.set(address, paidAt);
    this.forget(addresses, now);
    return Math.max(0, paidAt - burst * interval - now);
  }

  /** Two of the oldest at a time, so that those who paid go faster than others come. */
  private forget(most: number, now: number): void {
    let left = 2;
    for (const [address, paidAt] of this.paidAt) {
      if ((paidAt > now && this.paidAt.size <= most) || left-- === 0) return;
      this.paidAt.delete(address);
    }
  }
}
