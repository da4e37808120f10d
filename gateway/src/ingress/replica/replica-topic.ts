// A kind of thing that the control plane tells and this gateway holds: how a change of it is applied, and how a snapshot of it is gathered
// beside what is served until it is whole. A new kind is one file here, and one in the control plane's `changes/topics/`.
import type { Change } from "@fnctl/control-plane/contract/internal";

export interface ReplicaTopic {
  /** False: the change is of another topic. */
  apply(change: Change): boolean;
  gather(): Gathering;
}
export interface Gathering {
  /** False: the change is of another topic. */
  add(change: Change): boolean;
  /** What was gathered takes the place of all that was held. */
  swap(): void;
}
