// One leased instance: its connections, its slots, and how it ends.
import { randomBytes } from "node:crypto";
import type { z } from "zod";
import type { Lease, releaseReasonSchema } from "@fnctl/control-plane/contract/internal";
import { Connection } from "./connection.ts";

export type ReleaseReason = z.infer<typeof releaseReasonSchema>;

export class Instance {
  readonly lease: Lease;
  /** Slots in use: by requests, and by handlers of requests whose client has left. */
  inFlight = 0;
  /** Names of exchanges begin with it: another holder of the same instance has another. */
  private readonly mark = randomBytes(4).toString("hex");
  private exchanges = 0;
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
  private readonly connections = new Set<Connection>();
  /** The free ones; the last is taken next. */
  private readonly free: Connection[] = [];
  private readonly onPoisoned: (instance: Instance) => void;

  constructor(lease: Lease, onPoisoned: (instance: Instance) => void) {
    this.lease = lease;
    const timing = lease.timing;
    this.coldMs = (timing?.startMs ?? 0) + (timing?.loadMs ?? 0) + (timing?.initMs ?? 0);
    this.endReason = new Promise((resolve) => (this.settleEndReason = resolve));
    this.onPoisoned = onPoisoned;
  }
  nextExchange(): string {
    return `${this.mark}-${(this.exchanges += 1)}`;
  }
  get hasFreeSlot(): boolean {
    return this.inFlight < this.lease.slots && this.doubts === 0 && this.closing === undefined && this.ended === undefined;
  }
  /** A connection of one's own, until it is put back. */
  takeConnection(): Connection {
    return this.free.pop() ?? this.newConnection();
  }
  putBack(connection: Connection): void {
    this.free.push(connection);
  }
  private newConnection(): Connection {
    const connection = new Connection(this.lease, () => this.onPoisoned(this));
    this.connections.add(connection);
    if (this.ended !== undefined) connection.destroy();
    return connection;
  }
  /** Cuts all connections; requests in flight fail. */
  destroy(): void {
    clearTimeout(this.grace);
    for (const connection of this.connections) connection.destroy();
  }
}
