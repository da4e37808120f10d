// Asks for readiness by the runtime protocol over the instance's own TLS. A kubelet's probe cannot do this, because it does not know the
// certificate's pin.
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "undici";
import { PROTOCOL_PATHS, healthSchema } from "../contract/runtime-protocol.ts";

const TRY_MS = 2_000;
const POLL_MS = 15;

type Health = ReturnType<typeof healthSchema.parse>;

/** Whether the sandbox holds no tenant's code or data yet. */
export const isGeneric = (health: Health | undefined): boolean => health?.state === "idle" && health.code === undefined;

/** The instance's own health report; undefined when it does not answer in time, answers nonsense, or has a wrong certificate. */
export async function askHealth(link: Client): Promise<Health | undefined> {
  try {
    const answer = await link.request({ method: "GET", path: PROTOCOL_PATHS.health, signal: AbortSignal.timeout(TRY_MS) });
    const health = healthSchema.safeParse(await answer.body.json());
    return health.success ? health.data : undefined;
  } catch {
    return undefined;
  }
}

/** Asks again and again until the instance is idle (true) or `goOn` returns false (false). */
export async function untilIdle(link: Client, goOn: () => boolean): Promise<boolean> {
  while (goOn()) {
    if (isGeneric(await askHealth(link))) return true;
    await sleep(POLL_MS);
  }
  return false;
}
