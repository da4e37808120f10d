// Lets requests wait until something may have changed; the code that makes the change wakes them.

export function createWakeup() {
  const waiters = new Set<() => void>();
  return {
    wake(): void {
      for (const waiter of waiters) waiter();
      waiters.clear();
    },
    /** Resolves at the next `wake`, or after this many milliseconds. */
    changed: (timeoutMs: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(done, timeoutMs);
        function done() {
          clearTimeout(timer);
          waiters.delete(done);
          resolve();
        }
        waiters.add(done);
      }),
  };
}
