// Tells the control plane what went through, so that tenants can see it: in reports, a second after the first of their records. While the control
// plane is away records wait, up to a number of each tenant's; beyond it they are in the operator's log alone, and counted.
import { INTERNAL_PATHS, type EgressRecord } from "@fnctl/control-plane/contract/internal";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { newId } from "@fnctl/control-plane/service/uuid7";
import { EGRESS_LIMITS } from "./limits.ts";
import type { ConnectionRecord } from "./source.ts";

export class RecordReport {
  private readonly send: (path: string, body: object) => Promise<unknown>;
  private waiting: EgressRecord[] = [];
  private readonly ofTenant = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined = undefined;
  private sending = false;
  private stopped = false;
  /** Records that had no room. */
  dropped = 0;

  constructor(send: (path: string, body: object) => Promise<unknown>) {
    this.send = send;
  }

  /** Records of what is no function's are nobody's to see but the operator's. */
  add(record: ConnectionRecord): void {
    const { tenant, functionId } = record;
    if (this.stopped || tenant === null || functionId === null) return;
    const own = this.ofTenant.get(tenant) ?? 0;
    if (own >= EGRESS_LIMITS.recordsPerTenant || this.waiting.length >= EGRESS_LIMITS.records) {
      this.dropped += 1;
      return;
    }
    this.ofTenant.set(tenant, own + 1);
    this.waiting.push(toTold(record, functionId));
    this.timer ??= setTimeout(() => void this.flush(), EGRESS_LIMITS.reportMs);
  }

  private async flush(): Promise<void> {
    this.timer = undefined;
    if (this.sending) return;
    this.sending = true;
    const records = this.waiting.slice(0, LIMITS.egressReport);
    try {
      if (records.length > 0) await this.send(INTERNAL_PATHS.egressRecords, { records });
      this.waiting.splice(0, records.length);
      for (const { tenantId } of records) this.forget(tenantId);
    } catch {
      // They wait for the next time. An answer that was lost is no matter: a record that is told twice is kept once.
    } finally {
      this.sending = false;
    }
    if (this.waiting.length > 0 && !this.stopped) this.timer ??= setTimeout(() => void this.flush(), EGRESS_LIMITS.reportMs);
  }
  private forget(tenant: string): void {
    const left = (this.ofTenant.get(tenant) ?? 1) - 1;
    if (left > 0) this.ofTenant.set(tenant, left);
    else this.ofTenant.delete(tenant);
  }

  /** Sends what waits, once. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    await this.flush();
    this.stopped = true;
    clearTimeout(this.timer);
  }
}

const toTold = (record: ConnectionRecord, functionId: string): EgressRecord => ({
  id: newId(),
  tenantId: record.tenant ?? "",
  functionId,
  version: record.version,
  instance: record.instance,
  at: record.time,
  target: record.target.slice(0, 300),
  // What a name leads to inside is for the operator's log, and not for who guesses names.
  address: record.outcome.startsWith("FORBIDDEN") ? "" : record.address,
  bytesUp: record.bytesUp,
  bytesDown: record.bytesDown,
  durationMs: record.durationMs,
  outcome: record.outcome.slice(0, 500),
  notLogged: record.notLogged ?? 0,
});
