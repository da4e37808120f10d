// A kind of thing that the control plane tells and this process holds: how a change of it is applied, and how a snapshot of it replaces what is
// held. A new kind is one file here, and one in the control plane's `changes/topics/`.
import type { Change } from "@fnctl/control-plane/contract/internal";

export interface ReplicaTopic {
  /** False: the change is of another topic. */
  apply(change: Change): boolean;
  /**
   * A snapshot begins. What it names is taken over at once, since it is newer than what is held; what it does not name goes at its end. So
   * there are never two whole tables in memory, and one that breaks off has done no harm.
   */
  beginSnapshot(): Snapshot;
}
export interface Snapshot {
  /** False: the change is of another topic. */
  add(change: Change): boolean;
  /** The snapshot was whole. */
  end(): void;
}

/** How a snapshot goes over a table of `Item`s. `changeOf`: what a change does to the table; undefined: it is of another topic. */
export function overTable<Item>(
  table: { ids(): Iterable<string>; set(item: Item): void; remove(id: string): unknown },
  changeOf: (change: Change) => { id: string; item: Item | undefined } | undefined,
  ended: () => void = () => undefined,
): Snapshot {
  const unnamed = new Set(table.ids());
  return {
    add(change) {
      const found = changeOf(change);
      if (found === undefined) return false;
      unnamed.delete(found.id);
      if (found.item === undefined) table.remove(found.id);
      else table.set(found.item);
      return true;
    },
    end() {
      for (const id of unnamed) table.remove(id);
      ended();
    },
  };
}
