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

export interface Table<Item> {
  ids(): Iterable<string>;
  set(item: Item): void;
  remove(id: string): unknown;
}
/** What a change does to a table of `Item`s; undefined: it is of another topic. */
export type ChangeOf<Item> = (change: Change) => { id: string; item: Item | undefined } | undefined;

/** A topic that is a table and nothing else. `ended` is called after each whole snapshot. */
export const tableTopic = <Item>(table: Table<Item>, changeOf: ChangeOf<Item>, ended?: () => void): ReplicaTopic => ({
  apply(change) {
    const found = changeOf(change);
    if (found?.item !== undefined) table.set(found.item);
    else if (found !== undefined) table.remove(found.id);
    return found !== undefined;
  },
  beginSnapshot: () => overTable(table, changeOf, ended),
});

/** How a snapshot goes over a table. */
export function overTable<Item>(table: Table<Item>, changeOf: ChangeOf<Item>, ended: () => void = () => undefined): Snapshot {
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
