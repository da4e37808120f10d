// Who waits until something may have changed, and is woken by whoever changed it.

export function createWakeup() {
  const waiters = new Set<() => void>();
  return {
    wake(): void {
      for (const waiter of waiters) waiter();
      waiters.clear();
    },
    /** Resolves when somebody wakes, or after this many milliseconds. */
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
