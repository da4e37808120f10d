// Waits until a pod that was just made is idle, or throws the reason why it will not be.
import type { Client } from "undici";
import type { Address } from "../../contract/instance-address.ts";
import { PlatformError } from "../../contract/errors.ts";
import type { SandboxSpec } from "../driver.ts";
import { untilIdle } from "../../sandbox-client/health.ts";
import { RUNTIME_CLASSES } from "./objects/pod.ts";
import { addressOf, isRunning, startFailure, unschedulable, whatItMayNot, type Pod } from "./pod-state.ts";
import type { PodWatch } from "./pod-watch.ts";

/** Long enough for a pod whose image must be pulled first. */
const START_MS = 60_000;
/** How long to wait while no node has room, because other pods may end in this time. */
const ROOM_MS = 15_000;

/** The pod has not run any code of a tenant yet, so its own report of why it ended is trusted. */
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
