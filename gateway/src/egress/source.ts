// One sandbox that may go out: known by the socket it comes in on, which is mounted into it alone (DESIGN section 7).
import type { EgressSource } from "@fnctl/control-plane/contract/internal";

export interface Source {
  readonly instance: string;
  settings: EgressSource;
  /** Bytes of all its connections, both ways, since the source was made. */
  bytes: number;
  readonly tunnels: Set<{ end(outcome: string): void }>;
}

/** One line of the log. */
export interface ConnectionRecord {
  time: string;
  instance: string;
  /** Null: a pooled sandbox that nobody has yet. */
  tenant: string | null;
  label: string;
  target: string;
  address: string;
  bytesUp: number;
  bytesDown: number;
  durationMs: number;
  outcome: string;
}
