import type { V1ContainerState, V1Pod } from "@kubernetes/client-node";
import { expect, test } from "vitest";
import { endOf } from "./gateway-ends.ts";

const UID = "6d6b1c5e-0000-4000-8000-000000000000";
const pod = (state: V1ContainerState, lastState: V1ContainerState = {}, name = "gateway"): V1Pod => ({
  metadata: { uid: UID },
  status: { containerStatuses: [{ name, state, lastState, image: "", imageID: "", ready: true, restartCount: 1 }] },
});
const at = new Date("2026-11-27T12:00:05Z");
const ended = { terminated: { exitCode: 137, finishedAt: at } };

test.each([
  ["runs for the first time", pod({ running: { startedAt: at } }), undefined],
  ["has ended", pod(ended), { gateway: UID, before: at.getTime() }],
  ["has ended and runs again", pod({ running: { startedAt: at } }, ended), { gateway: UID, before: at.getTime() }],
  ["has ended and waits to run again", pod({ waiting: { reason: "CrashLoopBackOff" } }, ended), { gateway: UID, before: at.getTime() }],
  ["has ended twice", pod({ terminated: { exitCode: 1, finishedAt: new Date(0) } }, ended), { gateway: UID, before: 0 }],
  ["is of another container", pod(ended, {}, "proxy"), undefined],
  ["was not seen by a kubelet yet", { metadata: { uid: UID } }, undefined],
])("a gateway's process that %s", (_title, seen, end) => {
  expect(endOf(seen)).toEqual(end);
});
