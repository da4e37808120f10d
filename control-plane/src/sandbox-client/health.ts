// Readiness by the runtime protocol, over the instance's own TLS: what a kubelet's probe cannot do, because it knows no pin.
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "undici";
import { PROTOCOL_PATHS, healthSchema } from "../contract/runtime-protocol.ts";

const TRY_MS = 2_000;
const POLL_MS = 15;

type Health = ReturnType<typeof healthSchema.parse>;

/** Nothing of anybody's is in it. */
export const isGeneric = (health: Health | undefined): boolean => health?.state === "idle" && health.code === undefined;

/** What the instance says of itself; undefined when it does not answer in time, or nonsense, or is somebody else. */
export async function askHealth(link: Client): Promise<Health | undefined> {
  try {
    const answer = await link.request({ method: "GET", path: PROTOCOL_PATHS.health, signal: AbortSignal.timeout(TRY_MS) });
    const health = healthSchema.safeParse(await answer.body.json());
    return health.success ? health.data : undefined;
  } catch {
    return undefined;
  }
}

/** Asks until it is idle, for as long as `goOn` says so. */
export async function untilIdle(link: Client, goOn: () => boolean): Promise<boolean> {
  while (goOn()) {
    if (isGeneric(await askHealth(link))) return true;
    await sleep(POLL_MS);
  }
  return false;
}
