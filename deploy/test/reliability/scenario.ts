// What a scenario is, and how it is judged.
import type { ApiClient } from "../src/api-client.ts";
import { quantile } from "../bench/rows.ts";
import type { Processors } from "./burn.ts";
import type { Sampled } from "./load.ts";

/** In full 10 minutes in all, on a machine with nothing else to do; short for `.ci/run`, where what fails counts and times do not. */
export type Mode = "full" | "short";

export interface Tenant {
  slug: string;
  token: string;
  client: ApiClient;
}
export interface Stage {
  /** Who is bad. */
  greedy: Tenant;
  /** Who should not notice. */
  neighbour: Tenant;
  stateDir: string;
  /** The group of all sandboxes, below every hierarchy's root. */
  cgroupParent: string;
  /** Ends a part with SIGKILL and waits for the next one. */
  kill(part: string): Promise<void>;
}
export interface Scenario {
  what: string;
  /** One request of the neighbour; undefined: it was served as it should be. */
  ask(neighbour: Tenant): Promise<string | undefined>;
  /** Before anything is measured. */
  prepare(stage: Stage): Promise<void>;
  /** Begins what is bad; returns the way to end it. */
  begin(stage: Stage): Promise<() => Promise<void>>;
  /** Between two requests of a client, milliseconds; `clients` ask at a time. */
  pauseMs: number;
  clients: number;
  /** Fewer than the usual samples, where one takes long. */
  samples?: number;
  /** What else must hold afterwards; texts of what does not. */
  after?(stage: Stage): Promise<string[]>;
}

export const MOST_RATIO = 2;
/** Below this a difference is the machine's and not anybody's, milliseconds. */
export const FLOOR_MS = 5;

export interface Verdict {
  what: string;
  calm: number;
  control: number;
  storm: number;
  samples: number;
  /** What went on beside the neighbour, and what the control burnt of it. */
  processors: Processors;
  burnt: Processors;
  /** Why it does not hold, whatever the time. */
  faults: string[];
  /** Why it does not hold by its time. */
  slow: string | undefined;
}

const p99 = ({ latencies }: Sampled): number => quantile(latencies, 0.99);

/** The neighbour's p99 may be twice what it is when the same processor time is burnt elsewhere; nothing of it may fail. */
export function judge(
  what: string,
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
  const tooSlow = storm > MOST_RATIO * Math.max(control, FLOOR_MS) ? `p99 ${(storm / control).toFixed(1)} times the control's` : undefined;
  const slow = empty ? "nothing was measured to compare with" : tooSlow;
  return { what, calm, control, storm, samples: latencies.length, processors: measured.processors, burnt: measured.burnt, faults, slow };
}
