// One sandbox that may use the egress proxy. It is known by the socket on which it connects, which is mounted into it alone (DESIGN section
// 7).
import type { RefusalLog } from "./refusal-log.ts";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";

export interface Source {
  readonly instance: string;
  settings: EgressSource;
  /** Bytes of all its connections, both ways, since the source was made. */
  bytes: number;
  readonly tunnels: Set<{ end(outcome: string): void; lookAgain(): void }>;
  readonly refusals: RefusalLog;
}

/** One line of the log. */
export interface ConnectionRecord {
  time: string;
  instance: string;
  /** Null for a pooled sandbox that belongs to no tenant yet. */
  tenant: string | null;
  functionId: string | null;
  version: number;
  label: string;
  target: string;
  address: string;
  bytesUp: number;
  bytesDown: number;
  durationMs: number;
  outcome: string;
  /** So many refusals of the same sandbox came before this one, and were not logged. */
  notLogged?: number;
}

export const startRecord = ({ instance, settings }: Source): ConnectionRecord => ({
  time: new Date().toISOString(),
  instance,
  tenant: settings.tenantId,
  functionId: settings.functionId,
  version: settings.version,
  label: settings.label,
  target: "",
  address: "",
  bytesUp: 0,
  bytesDown: 0,
  durationMs: 0,
  outcome: "",
});
