// The newest changes, by their numbers: for readers that come back, and for those that are a little behind.

/** Changes that are kept; a reader that is further behind is told all that there is instead. */
const RING = 10_000;

export function createRing<T>(capacity = RING) {
  const slots: T[] = [];
  let last = 0;
  return {
    /** The number of the newest; 0: there was none yet. */
    last: (): number => last,
    push(make: (number: number) => T): void {
      last += 1;
      slots[last % capacity] = make(last);
    },
    /** All that came after this number is still here. */
    reaches: (number: number): boolean => number <= last && last - number <= capacity,
    /** Those after `number`, which it `reaches`. */
    after: (number: number): T[] => Array.from({ length: last - number }, (_, i) => slots[(number + 1 + i) % capacity]!),
  };
}
