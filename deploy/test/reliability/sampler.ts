// Takes samples in a separate thread, so that the load beside it does not delay the measurement.
import { once } from "node:events";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { createApiClient } from "../src/api-client.ts";
import { sample, type SampleOptions, type Sampled } from "./load.ts";
import type { Tenant } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";

interface Job {
  /** Name of the scenario. */
  name: string;
  neighbour: Tenant;
  options: SampleOptions;
}
type Sent = Omit<Job, "neighbour"> & { url: string; slug: string; token: string };

export async function sampleApart({ name, neighbour, options }: Job): Promise<Sampled> {
  const { slug, token } = neighbour;
  const sent: Sent = { name, options, url: neighbour.client.url, slug, token };
  const worker = new Worker(new URL(import.meta.url), { workerData: sent });
  const ended = once(worker, "exit").then(() => Promise.reject(new Error("Who measures ended without a result.")));
  const [sampled] = (await Promise.race([once(worker, "message"), ended])) as [Sampled];
  return sampled;
}

if (!isMainThread) {
  const { name, options, url, slug, token } = workerData as Sent;
  const neighbour: Tenant = { slug, token, client: createApiClient({ url, tenant: slug, token: () => token }) };
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is a window's, and this is a thread's
  parentPort?.postMessage(await sample(() => SCENARIOS[name]!.ask(neighbour), options));
  process.exit(0); // connections that are kept would hold the thread
}
