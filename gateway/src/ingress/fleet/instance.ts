// One leased instance: its own undici pool (never shared, never http.Agent; SECURITY fact 1), its slots, and how it ends.
import type { z } from "zod";
import type { Lease, releaseReasonSchema } from "@fnctl/control-plane/contract/internal";
import { dialOf } from "@fnctl/control-plane/contract/instance-address";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { Pool } from "undici";
import { GATEWAY_LIMITS } from "../limits.ts";

export type ReleaseReason = z.infer<typeof releaseReasonSchema>;

export class Instance {
  readonly lease: Lease;
  readonly pool: Pool;
  /** Slots in use: by requests, and by handlers of requests whose client has left. */
  inFlight = 0;
  /** How many broken connections are being looked into, meanwhile it gets no requests. */
  doubts = 0;
  /** Milliseconds on the monotonic clock. */
  lastUsedAt = performance.now();
  /** If set, the instance gets no new requests, and is released with this reason when its last request ends. */
  closing: ReleaseReason | undefined = undefined;
  closingDetail = "";
  /** If set, the instance is gone, and this is why; its requests fail with this reason. */
  ended: string | undefined = undefined;
  /** Duration of the cold start, until it is reported with the instance's first request; then 0. */
  coldMs: number;
  grace: NodeJS.Timeout | undefined = undefined;
  /** Resolves with the reason that the control plane knows for the end. */
  readonly endReason: Promise<string>;
  settleEndReason: (reason: string) => void = () => {};

  constructor(lease: Lease, onPoisoned: (instance: Instance) => void) {
    this.lease = lease;
    const timing = lease.timing;
    this.coldMs = (timing?.startMs ?? 0) + (timing?.loadMs ?? 0) + (timing?.initMs ?? 0);
    this.endReason = new Promise((resolve) => (this.settleEndReason = resolve));
    const dial = dialOf(lease.address, lease.instance, GATEWAY_LIMITS.connectMs);
    this.pool = new Pool(dial.origin, {
      connect: dial.connect,
      connections: lease.slots,
      pipelining: 1,
      allowH2: false,
      // The invocation's own deadline applies instead of undici's timeouts.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: LIMITS.headerBytes,
      maxResponseSize: LIMITS.responseBodyBytes,
    });
    this.pool.on("disconnect", (_origin, _targets, error) => {
      if (isPoison(error)) onPoisoned(this);
    });
  }
  get hasFreeSlot(): boolean {
    return this.inFlight < this.lease.slots && this.doubts === 0 && this.closing === undefined && this.ended === undefined;
  }
  /** Cuts all connections; requests in flight fail. */
  destroy(): void {
    clearTimeout(this.grace);
    void this.pool.destroy(new Error("instance ended")).catch(() => {});
  }
}

/** undici destroys a socket on which bytes arrive without a request, and only these messages show that (SECURITY D6). */
const isPoison = (error: Error): boolean => error.message === "bad response" || error.message === "bad upgrade";
