// Waits for a state; it also works in hooks, where `expect.poll` is not allowed.

/** Calls `ask` until `done` accepts its value; throws with the last value after `timeoutMs`. */
export async function until<T>(ask: () => T | Promise<T>, done: (value: T) => boolean, timeoutMs = 10_000, pauseMs = 50): Promise<T> {
  for (const end = Date.now() + timeoutMs; ; await new Promise((resolve) => setTimeout(resolve, pauseMs))) {
    const value = await ask();
    if (done(value)) return value;
    if (Date.now() > end) throw new Error(`Not within ${timeoutMs} ms; last seen: ${JSON.stringify(value)}`);
  }
}
