// How many bytes of clients are held in memory at a time: small bodies that are gathered, and answers that their clients do not take. Each
// connection holds little; this bounds what many of them hold together, in all and for one address.

export interface HeldBytesLimits {
  all: number;
  perAddress: number;
}

export class HeldBytes {
  private readonly limits: HeldBytesLimits;
  private readonly byAddress = new Map<string, number>();
  private total = 0;

  constructor(limits: HeldBytesLimits) {
    this.limits = limits;
  }

  /** False: there is no room for so many more, and nothing was taken. `address` undefined: counted in all only. */
  take(address: string | undefined, bytes: number): boolean {
    const own = address === undefined ? 0 : (this.byAddress.get(address) ?? 0);
    if (this.total + bytes > this.limits.all || own + bytes > this.limits.perAddress) return false;
    this.total += bytes;
    if (address !== undefined) this.byAddress.set(address, own + bytes);
    return true;
  }

  giveBack(address: string | undefined, bytes: number): void {
    this.total -= bytes;
    if (address === undefined) return;
    const left = (this.byAddress.get(address) ?? 0) - bytes;
    if (left > 0) this.byAddress.set(address, left);
    else this.byAddress.delete(address);
  }

  get bytes(): number {
    return this.total;
  }
}
