// Connections are logged, refused ones too; but a sandbox that is refused all the time must not push the others' records out of the log.
import { EGRESS_LIMITS } from "./limits.ts";
import type { ConnectionRecord } from "./source.ts";

/** Of one source. */
export class RefusalLog {
  private second = 0;
  private count = 0;
  private dropped = 0;

  /** Undefined: this one is only counted. Otherwise the record, which says how many were before it. `now`: monotonic clock, milliseconds. */
  admit(record: ConnectionRecord, now = performance.now()): ConnectionRecord | undefined {
    const second = Math.floor(now / 1_000);
    if (second !== this.second) this.count = 0;
    this.second = second;
    this.count += 1;
    if (this.count > EGRESS_LIMITS.refusalsPerSecond) {
      this.dropped += 1;
      return undefined;
    }
    const notLogged = this.dropped;
    this.dropped = 0;
    return notLogged === 0 ? record : { ...record, notLogged };
  }
}
