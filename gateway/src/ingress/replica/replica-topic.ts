// One kind of data that the control plane sends and this gateway keeps: how a change is applied, and how a snapshot is gathered beside the
// served data until it is complete. A new kind is one file here, and one in the control plane's `changes/topics/`.
import type { Change } from "@fnctl/control-plane/contract/internal";

export interface ReplicaTopic {
  /** False: the change is of another topic. */
  apply(change: Change): boolean;
  gather(): Gathering;
}
export interface Gathering {
  /** False: the change is of another topic. */
  add(change: Change): boolean;
  /** Replaces all data of the topic by the gathered data. */
  swap(): void;
}
