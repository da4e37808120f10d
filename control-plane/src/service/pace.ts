// How fast one owner's questions are answered that cost their sender nothing and us some work: whoever gets a refusal at once asks again at once.
// Fifty connections took two thirds of a gateway's processor so, and others waited behind them. Whoever waits asks no more often than answers
// come.

export interface PaceLimits {
  /** Answers to one owner a second, and how many of them may come at once. */
  perSecond: number;
  burst: number;
  /** The longest wait, milliseconds. */
  waitMs: number;
  /** The most owners that are remembered. */
  owners: number;
}

export class Pace {
  private readonly limits: PaceLimits;
  /** When an owner will have paid for all its answers (the generic cell rate algorithm, ITU-T I.371); the last one to ask is the last. */
  private readonly paidAt = new Map<string, number>();

  constructor(limits: PaceLimits) {
    this.limits = limits;
  }

  /** Counts one answer, or so many; returns how long it waits, milliseconds. */
  wait(owner: string, now = performance.now(), answers = 1): number {
    const { perSecond, burst, waitMs, owners } = this.limits;
    const interval = 1_000 / perSecond;
    const paidAt = Math.min(Math.max(this.paidAt.get(owner) ?? 0, now) + answers * interval, now + burst * interval + waitMs);
    this.paidAt.delete(owner);
    this.paidAt.set(owner, paidAt);
    this.forget(owners, now);
    return Math.max(0, paidAt - burst * interval - now);
  }

  /** Two of the oldest at a time, so that those who paid go faster than others come. */
  private forget(most: number, now: number): void {
    let left = 2;
    for (const [owner, paidAt] of this.paidAt) {
      if ((paidAt > now && this.paidAt.size <= most) || left-- === 0) return;
      this.paidAt.delete(owner);
    }
  }
}
