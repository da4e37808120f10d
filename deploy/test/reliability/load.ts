// Measures the latencies of one neighbour while something happens beside it.
import { setTimeout as sleep } from "node:timers/promises";

export interface Sampled {
  /** Milliseconds, sorted. */
  latencies: number[];
  /** Requests that were not served as they should be. */
  errors: string[];
}
export interface SampleOptions {
  /** Sampling ends when there are this many samples and `ms` is over, or when twice `ms` is over. */
  samples: number;
  ms: number;
  clients: number;
  /** Pause between two requests of a client: short enough to notice delays, and long enough to leave the machine to others. */
  pauseMs: number;
}

/** Runs `ask` again and again; an exception or a returned text counts as an error. */
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
