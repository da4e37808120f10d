// How many bytes of clients are held in memory at a time: bodies on their way, and answers that their clients do not take. Each connection holds
// little; this bounds what many of them hold together, in all and for one address. When there is no more room in all, it is taken from whoever
// has most: a newcomer with little is served, however many addresses hold what they may.
import { PlatformError } from "@fnctl/control-plane/contract/errors";

export interface HeldBytesLimits {
  all: number;
  perAddress: number;
}

/** A request for which bytes are held. */
export interface BytesHolder {
  /** Whose share it is; undefined: of one of many clients that nobody tells apart. */
  readonly address: string | undefined;
  /** Its bytes are needed for others: give them up, and with them the request. */
  evicted(): void;
}
interface Share {
  bytes: number;
  /** With their bytes, in the order in which they began to hold some. */
  holders: Map<BytesHolder, number>;
}

export class HeldBytes {
  private readonly limits: HeldBytesLimits;
  private readonly shares = new Map<string, Share>();
  private total = 0;

  constructor(limits: HeldBytesLimits) {
    this.limits = limits;
  }

  /** Sets what is held for it, in place of what was; 0: nothing. False: its address has too much already, and nothing was changed. */
  hold(holder: BytesHolder, bytes: number): boolean {
    const name = holder.address ?? "";
    const share = this.shares.get(name);
    const more = bytes - (share?.holders.get(holder) ?? 0);
    if (more > 0 && !this.makeRoom(holder.address, (share?.bytes ?? 0) + more, more)) return false;
    this.set(name, holder, bytes, more);
    return true;
  }
  /** `own`: what the address would have then. */
  private makeRoom(address: string | undefined, own: number, more: number): boolean {
    if (address !== undefined && own > this.limits.perAddress) return false;
    while (this.total + more > this.limits.all) {
      const [largest, share] = this.largest();
      if (share === undefined || share.bytes <= own || largest === (address ?? "")) return false;
      const [oldest] = share.holders.keys();
      this.hold(oldest!, 0);
      oldest!.evicted();
    }
    return true;
  }
  private set(name: string, holder: BytesHolder, bytes: number, more: number): void {
    const share = this.shares.get(name) ?? { bytes: 0, holders: new Map<BytesHolder, number>() };
    this.shares.set(name, share);
    share.bytes += more;
    this.total += more;
    if (bytes > 0) share.holders.set(holder, bytes);
    else share.holders.delete(holder);
    if (share.holders.size === 0) this.shares.delete(name);
  }
  private largest(): [string, Share] | [undefined, undefined] {
    let found: [string, Share] | [undefined, undefined] = [undefined, undefined];
    for (const entry of this.shares) if (found[1] === undefined || entry[1].bytes > found[1].bytes) found = entry;
    return found;
  }

  get bytes(): number {
    return this.total;
  }
}

export const tooMuchHeld = (): PlatformError =>
  new PlatformError("RATE_LIMITED", "Too many bytes are being held at the same time, and of this address more than of others.", {
    hint: "Send fewer requests with bodies at a time.",
  });
