// One real platform, started as a user starts it, with two independent tenants.
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroupParent } from "../../single/src/parts.ts";
import { readSettings } from "../../single/src/settings.ts";
import { newPlatform, start, stop } from "../e2e/platform.ts";
import { createApiClient, operatorTokenIn, tokenIn } from "../src/api-client.ts";
import { processesOf } from "../src/processes.ts";
import type { Stage, Tenant } from "./scenario.ts";

export async function openStage(): Promise<{ stage: Stage; close(): Promise<void> }> {
  const platform = await newPlatform("greedy");
  await start(platform);
  const { stateDir, url, env } = platform;
  const { mark } = readSettings(env);
  const tenant = (slug: string, token: string): Tenant => ({
    slug,
    token,
    client: createApiClient({ url, tenant: slug, token: () => token }),
  });
  const greedy = tenant("greedy", tokenIn(platform.config));
  const made = await greedy.client.api("POST", "/v1/tenants", { body: { slug: "neighbour" }, token: operatorTokenIn(stateDir) });
  const neighbour = tenant("neighbour", ((await made.json()) as { token: { secret: string } }).token.secret);

  const { killAndWait, pidOf } = processesOf(stateDir);
  /** Kills a part; one that is just being restarted is killed once it runs. */
  async function kill(part: string): Promise<void> {
    while (pidOf(part) === undefined) await sleep(25);
    await killAndWait(part);
  }
  /** proc(5), status. */
  const memoryOf = (part: string): number =>
    1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pidOf(part) ?? 0}/status`, "utf8"))?.[1]);
  return {
    stage: { greedy, neighbour, stateDir, cgroupParent: cgroupParent(mark), kill, memoryOf },
    async close() {
      await stop(platform);
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}
