// Readiness by the runtime protocol, over the instance's own TLS: what a kubelet's probe cannot do, because it knows no pin.
import { Client } from "undici";
import { setTimeout as sleep } from "node:timers/promises";
import { dialOf, type Address } from "../../contract/instance-address.ts";
import { PROTOCOL_PATHS, healthSchema } from "../../contract/runtime-protocol.ts";

const ANSWER_CAP = 4096;
const TRY_MS = 2_000;
const POLL_MS = 15;

type Health = ReturnType<typeof healthSchema.parse>;

/** What the instance says of itself; undefined when it does not answer in time, or nonsense, or is somebody else. */
export async function askHealth(id: string, address: Address, timeoutMs = TRY_MS): Promise<Health | undefined> {
  const dial = dialOf(address, id, timeoutMs);
  const client = new Client(dial.origin, {
    connect: dial.connect,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: ANSWER_CAP,
  });
  try {
    const answer = await client.request({ method: "GET", path: PROTOCOL_PATHS.health, signal: AbortSignal.timeout(timeoutMs) });
    const health = healthSchema.safeParse(await answer.body.json());
    return health.success ? health.data : undefined;
  } catch {
    return undefined;
  } finally {
    void client.destroy().catch(() => undefined);
  }
}

/** Asks until it is idle, for as long as `goOn` says so. */
export async function untilIdle(id: string, address: Address, goOn: () => boolean): Promise<boolean> {
  while (goOn()) {
    if ((await askHealth(id, address))?.state === "idle") return true;
    await sleep(POLL_MS);
  }
  return false;
}
