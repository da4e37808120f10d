// Waits for a state, also in hooks, where `expect.poll` is not allowed.

/** Asks again until `done`; throws with the last answer after `timeoutMs`. */
export async function until<T>(ask: () => T | Promise<T>, done: (value: T) => boolean, timeoutMs = 10_000, pauseMs = 50): Promise<T> {
  for (const end = Date.now() + timeoutMs; ; await new Promise((resolve) => setTimeout(resolve, pauseMs))) {
    const value = await ask();
    if (done(value)) return value;
    if (Date.now() > end) throw new Error(`Not within ${timeoutMs} ms; last seen: ${JSON.stringify(value)}`);
  }
}
