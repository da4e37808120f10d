// Latencies of one neighbour while something goes on beside it.
import { setTimeout as sleep } from "node:timers/promises";

export interface Sampled {
  /** Milliseconds, sorted. */
  latencies: number[];
  /** What was not as it should be. */
  errors: string[];
}
export interface SampleOptions {
  /** Ends when there are so many samples and the time is over, or when twice the time is over. */
  samples: number;
  ms: number;
  clients: number;
  /** Between two requests of a client: load enough to notice, and little enough to share the machine. */
  pauseMs: number;
}

/** Runs `ask` again and again; a throw or a text counts as an error. */
export async function sample(ask: () => Promise<string | undefined>, { samples, ms, clients, pauseMs }: SampleOptions): Promise<Sampled> {
  const latencies: number[] = [];
  const errors: string[] = [];
  const begun = performance.now();
  const over = () => {
    const passed = performance.now() - begun;
    return (latencies.length >= samples && passed >= ms) || passed >= 2 * ms;
  };
  async function client(): Promise<void> {
    while (!over()) {
      const at = performance.now();
      const wrong = await ask().catch(String);
      if (wrong === undefined) latencies.push(performance.now() - at);
      else errors.push(wrong);
      await sleep(pauseMs);
    }
  }
  await Promise.all(Array.from({ length: clients }, client));
  return { latencies: latencies.toSorted((a, b) => a - b), errors };
}
