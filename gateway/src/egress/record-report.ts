// Tells the control plane what went through, so that tenants can see it: in reports, a second after the first of their records, of which each
// tenant has its share. While the control plane is away records wait, up to a number of each tenant's; how many had no room is told with
// the next one.
import { INTERNAL_PATHS, type EgressRecord } from "@fnctl/control-plane/contract/internal";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { newId } from "@fnctl/control-plane/service/uuid7";
import { EGRESS_LIMITS } from "./limits.ts";
import type { ConnectionRecord } from "./source.ts";

type Send = (path: string, body: object) => Promise<unknown>;
type Warn = (message: string, facts: Record<string, unknown>) => void;
interface Share {
  waiting: EgressRecord[];
  /** Records since the last one that had no room. */
  dropped: number;
}

export class RecordReport {
  private readonly send: Send;
  private readonly warn: Warn;
  private readonly shares = new Map<string, Share>();
  private waiting = 0;
  private timer: NodeJS.Timeout | undefined = undefined;
  private sending = false;
  private stopped = false;

  constructor(send: Send, warn: Warn) {
    this.send = send;
    this.warn = warn;
  }

  /** Records of what is no function's are nobody's to see but the operator's. */
  add(record: ConnectionRecord): void {
    const { tenant, functionId } = record;
    if (this.stopped || tenant === null || functionId === null) return;
    const share = this.shares.get(tenant) ?? { waiting: [], dropped: 0 };
    this.shares.set(tenant, share);
    if (share.waiting.length >= EGRESS_LIMITS.recordsPerTenant || (this.waiting >= EGRESS_LIMITS.records && share.waiting.length > 0)) {
      share.dropped += 1 + (record.notLogged ?? 0);
      return;
    }
    share.waiting.push({ ...toTold(record, functionId), notLogged: (record.notLogged ?? 0) + share.dropped });
    share.dropped = 0;
    this.waiting += 1;
    this.timer ??= setTimeout(() => void this.flush(), EGRESS_LIMITS.reportMs);
  }

  /** One of each tenant's, and again, until a report is full: whoever has many does not keep the others' waiting. */
  private next(): EgressRecord[] {
    const records: EgressRecord[] = [];
    for (let turn = 0, found = true; found && records.length < LIMITS.egressReport; turn += 1) {
      found = false;
      for (const { waiting } of this.shares.values()) {
        const record = waiting[turn];
        if (record === undefined || records.length >= LIMITS.egressReport) continue;
        records.push(record);
        found = true;
      }
    }
    return records;
  }
  private forget(records: readonly EgressRecord[]): void {
    this.waiting -= records.length;
    for (const { tenantId } of records) {
      const share = this.shares.get(tenantId)!;
      share.waiting.shift();
      if (share.waiting.length === 0 && share.dropped === 0) this.shares.delete(tenantId);
    }
  }

  private async flush(): Promise<void> {
    this.timer = undefined;
    if (this.sending) return;
    this.sending = true;
    const records = this.next();
    try {
      if (records.length > 0) await this.send(INTERNAL_PATHS.egressRecords, { records });
      this.forget(records);
    } catch (error) {
      // They wait for the next time; an answer that was lost is no matter, because a record that is told twice is kept once. But what was refused
      // would be refused again, and keep all that comes after it from being told.
      if (error instanceof PlatformError && error.fault === "user") {
        this.warn("records were refused", { error: error.message, records: records.length });
        this.forget(records);
      }
    } finally {
      this.sending = false;
    }
    if (this.waiting > 0 && !this.stopped)
      this.timer ??= setTimeout(() => void this.flush(), EGRESS_LIMITS.reportMs / (this.isFull ? 10 : 1));
  }
  private get isFull(): boolean {
    return this.waiting >= LIMITS.egressReport;
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
  notLogged: 0,
});
