// Deadlines of requests. Nearly all are never reached, so they cost little to set and to clear: those of the same length are in a list, in
// the order in which they end, and one timer looks at its first.
export interface Timed {
  deadlineReached(): void;
}

/** Place of a deadline in its list. */
export interface Deadline {
  readonly at: number;
  readonly timed: Timed;
  list: List | undefined;
  before: Deadline | undefined;
  after: Deadline | undefined;
}
interface List {
  readonly ms: number;
  first: Deadline | undefined;
  last: Deadline | undefined;
}

export class Deadlines {
  private readonly lists = new Map<number, List>();

  /** `deadlineReached` is called `ms` milliseconds after `now` (monotonic clock), unless the deadline is cleared before. */
  set(timed: Timed, ms: number, now = performance.now()): Deadline {
    const list = this.lists.get(ms) ?? this.begin(ms);
    const deadline: Deadline = { at: now + ms, timed, list, before: list.last, after: undefined };
    if (list.last === undefined) list.first = deadline;
    else list.last.after = deadline;
    list.last = deadline;
    return deadline;
  }
  /** A second call does nothing. */
  clear(deadline: Deadline): void {
    const { list, before, after } = deadline;
    if (list === undefined) return;
    if (before === undefined) list.first = after;
    else before.after = after;
    if (after === undefined) list.last = before;
    else after.before = before;
    deadline.list = deadline.before = deadline.after = undefined;
  }

  private begin(ms: number): List {
    const list: List = { ms, first: undefined, last: undefined };
    this.lists.set(ms, list);
    setTimeout(look, ms, this, list);
    return list;
  }
  /** Lengths are chosen by tenants, so a list that is empty is given up. */
  look(list: List): void {
    const now = performance.now();
    try {
      for (let first = list.first; first !== undefined && first.at <= now; first = list.first) {
        this.clear(first);
        first.timed.deadlineReached();
      }
    } finally {
      // Also when one of them throws: the list is of all tenants.
      if (list.first === undefined) this.lists.delete(list.ms);
      else setTimeout(look, Math.max(0, Math.ceil(list.first.at - now)), this, list);
    }
  }
  /** How many lengths have a timer. */
  get lengths(): number {
    return this.lists.size;
  }
}

const look = (deadlines: Deadlines, list: List): void => deadlines.look(list);
