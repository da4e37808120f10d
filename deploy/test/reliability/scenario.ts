// The parts of a scenario, and how its result is judged.
import type { ApiClient } from "../src/api-client.ts";
import { quantile } from "../bench/rows.ts";
import type { Processors } from "./burn.ts";
import type { Sampled } from "./load.ts";

/**
 * `full` takes 10 minutes in all and needs a machine with nothing else to do; `short` is for `.ci/run`, where failures count and times do
 * not.
 */
export type Mode = "full" | "short";

export interface Tenant {
  slug: string;
  token: string;
  client: ApiClient;
}
export interface Stage {
  /** The tenant that behaves badly. */
  greedy: Tenant;
  /** The tenant that should not notice it. */
  neighbour: Tenant;
  stateDir: string;
  /** The cgroup of all sandboxes, below every hierarchy's root. */
  cgroupParent: string;
  /** Ends a part with SIGKILL and waits until it is started again. */
  kill(part: string): Promise<void>;
  /** Bytes of memory that a part's process has (resident). */
  memoryOf(part: string): number;
}
export interface Scenario {
  what: string;
  /** One request of the neighbour; undefined: it was served as it should be. */
  ask(neighbour: Tenant): Promise<string | undefined>;
  /** Runs before anything is measured. */
  prepare(stage: Stage): Promise<void>;
  /** Begins the bad behaviour; returns the function that ends it. */
  begin(stage: Stage): Promise<() => Promise<void>>;
  /** Pause between two requests of a client, milliseconds; `clients` call at a time. */
  pauseMs: number;
  clients: number;
  /** Number of samples if it is not the usual one, for requests that take long. */
  samples?: number;
  /** The neighbour's longest request is judged by this many milliseconds, because what happens stops everybody for a moment. */
  mostMs?: number;
  /** Checks what else must hold afterwards; returns a text for each failed check. */
  after?(stage: Stage): Promise<string[]>;
}

export const MOST_RATIO = 2;
/** Smaller differences are noise of the machine, milliseconds. */
export const FLOOR_MS = 5;

export interface Verdict {
  what: string;
  calm: number;
  control: number;
  storm: number;
  samples: number;
  /** `processors`: time used beside the neighbour; `burnt`: what the control burnt of it. */
  processors: Processors;
  burnt: Processors;
  /** Reasons to fail other than time. */
  faults: string[];
  /** The reason to fail by time. */
  slow: string | undefined;
}

const p99 = ({ latencies }: Sampled): number => quantile(latencies, 0.99);

/** The neighbour's p99 may be at most twice its p99 while the control burns the same processor time, and none of its requests may fail. */
export function judge(
  { what, mostMs }: Pick<Scenario, "what" | "mostMs">,
  measured: { calm: Sampled; control: Sampled; storm: Sampled; processors: Processors; burnt: Processors; faults: string[] },
): Verdict {
  const [calm, control, storm] = [p99(measured.calm), p99(measured.control), p99(measured.storm)];
  const faults = [...measured.faults];
  const { errors, latencies } = measured.storm;
  if (errors.length > 0) faults.push(`${errors.length} requests failed, the first with: ${errors[0]}`);
  if (latencies.length === 0) faults.push("nothing was measured");
  for (const [name, { errors: failed }] of Object.entries({ calm: measured.calm, control: measured.control }))
    if (failed.length > 0) faults.push(`${failed.length} requests failed in ${name}, the first with: ${failed[0]}`);
  const empty = [measured.calm, measured.control].some((part) => part.latencies.length === 0);
  const longest = latencies.at(-1) ?? 0;
  const tooLong = mostMs !== undefined && longest > mostMs ? `one request took ${longest.toFixed(0)} ms of at most ${mostMs}` : undefined;
  const tooMuch = storm > MOST_RATIO * Math.max(control, FLOOR_MS) ? `p99 ${(storm / control).toFixed(1)} times the control's` : undefined;
  const tooSlow = mostMs === undefined ? tooMuch : tooLong;
  const slow = empty ? "nothing was measured to compare with" : tooSlow;
  return { what, calm, control, storm, samples: latencies.length, processors: measured.processors, burnt: measured.burnt, faults, slow };
}
