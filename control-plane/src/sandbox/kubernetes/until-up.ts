// Waits until a pod that was just made is idle, or says why it will not be.
import type { Client } from "undici";
import type { Address } from "../../contract/instance-address.ts";
import { PlatformError } from "../../contract/errors.ts";
import type { SandboxSpec } from "../driver.ts";
import { untilIdle } from "../../sandbox-client/health.ts";
import { RUNTIME_CLASSES } from "./objects/pod.ts";
import { addressOf, isRunning, startFailure, unschedulable, whatItMayNot, type Pod } from "./pod-state.ts";
import type { PodWatch } from "./pod-watch.ts";

/** A pod whose image must be pulled first takes its time. */
const START_MS = 60_000;
/** No node has room: others may end in this time. */
const ROOM_MS = 15_000;

/** Nothing of a tenant's has run in it yet: what it says of its end is true. */
export async function untilUp(
  { isolation }: SandboxSpec,
  { metadata: { name, uid } }: Pod,
  watch: PodWatch,
  dial: (address: Address) => Client,
): Promise<void> {
  const end = Date.now() + START_MS;
  const roomUntil = Date.now() + ROOM_MS;
  const current = () => (watch.get(name)?.metadata.uid === uid ? watch.get(name) : undefined);
  const verdict = await watch.until<true | string>(() => {
    const now = current();
    if (now === undefined) return "It was deleted while it started.";
    const full = unschedulable(now);
    if (full !== undefined && Date.now() > roomUntil) return full;
    return startFailure(now) ?? (isRunning(now) && addressOf(now) !== undefined ? true : undefined);
  }, START_MS);
  const last = current();
  if (verdict === undefined && last !== undefined && unschedulable(last) !== undefined)
    throw new PlatformError("CAPACITY_UNAVAILABLE", `No node takes the sandbox: ${unschedulable(last)}`, {
      hint: "Add nodes for sandboxes, or wait for others to end.",
    });
  if (verdict !== true) throw failedStart(isolation, last, verdict ?? `Not running after ${START_MS / 1000} s.`);
  const address = last === undefined ? undefined : addressOf(last);
  const alive = () => Date.now() < end && startFailure(current()) === undefined;
  if (address === undefined || !(await untilIdle(dial(address), alive)))
    throw failedStart(isolation, current(), startFailure(current()) ?? "It does not answer.");
}

function failedStart(isolation: SandboxSpec["isolation"], pod: Pod | undefined, detail: string): PlatformError {
  const lacks = pod === undefined ? undefined : whatItMayNot(pod);
  if (lacks !== undefined)
    return new PlatformError(
      "ISOLATION_UNAVAILABLE",
      `Sandboxes of the RuntimeClass ${RUNTIME_CLASSES[isolation]} may not ${lacks}, which they must.`,
      {
        hint: `Set up the ${isolation} nodes as the cluster page of the manual says; \`fnctl doctor cluster\` shows what they do.`,
      },
    );
  return new PlatformError("SANDBOX_FAILED", `The sandbox could not be started: ${detail}`, {
    hint: "`kubectl describe pod` and the node's log say more.",
  });
}
