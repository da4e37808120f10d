// Translates a pod, as the API server shows it, into a Sandbox of the driver or the reason why it never became one. Pure.
import { z } from "zod";
import { ENTER_EXITS, POD_ENV, POD_PORT } from "../../contract/runtime-protocol.ts";
import { imageRefSchema, sandboxSpecSchema, type ImageRef, type Sandbox } from "../driver.ts";
import { ANNOTATIONS } from "../../cluster/labels.ts";

const text = z.string().optional();
const waiting = z.object({ reason: text, message: text }).optional();
const terminated = z.object({ reason: text, exitCode: z.number().optional(), message: text }).optional();
/** The fields of a pod that are read; all others are ignored. */
export const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    creationTimestamp: z.coerce.date(),
    deletionTimestamp: z.coerce.date().optional(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  spec: z.object({
    nodeName: text,
    containers: z.array(z.object({ env: z.array(z.object({ name: z.string(), value: text })).default([]) })),
  }),
  status: z
    .object({
      phase: text,
      podIP: text,
      reason: text,
      message: text,
      conditions: z.array(z.object({ type: z.string(), status: z.string(), reason: text, message: text })).default([]),
      containerStatuses: z.array(z.object({ state: z.object({ waiting, terminated }).optional() })).default([]),
    })
    .default({ conditions: [], containerStatuses: [] }),
});
export type Pod = z.infer<typeof podSchema>;

const DETAIL_CAP = 300;
/** Waiting reasons that will not pass, because the kubelet only repeats the same attempt. */
const HOPELESS = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ImageInspectError",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
]);

/** What the pod's node does not report: whether it has answered once, and whether it no longer answers. */
export interface Seen {
  healthy: boolean;
  silent: boolean;
}
const SILENT = { reason: "exited", detail: "It answers no more, though its node says that it runs." } as const;

/** Undefined for a pod that was not made by this platform in this form. */
export function instanceOf(pod: Pod, { healthy, silent }: Seen): Sandbox | undefined {
  const spec = specOf(pod);
  if (spec === undefined) return undefined;
  const ended = endOf(pod) ?? (silent ? SILENT : undefined);
  const image = imageOf(pod);
  const address = addressOf(pod);
  return {
    ...spec,
    state: ended === undefined ? stateOf(image, healthy) : "ended",
    startedAt: pod.metadata.creationTimestamp.getTime(),
    ...(address === undefined ? {} : { address }),
    ...(image === undefined ? {} : { image }),
    ...(ended === undefined ? {} : { ended }),
  };
}
const stateOf = (image: ImageRef | undefined, healthy: boolean) => {
  if (image !== undefined) return "loaded";
  return healthy ? "idle" : "starting";
};

/** Parses an annotation once for each observed state of a pod, because all pods are looked at every second. */
function annotation<T>(key: string, schema: z.ZodType<T>): (pod: Pod) => T | undefined {
  const known = new WeakMap<Pod, { value: T | undefined }>();
  return (pod) => {
    const seen = known.get(pod);
    if (seen !== undefined) return seen.value;
    const value = schema.safeParse(parse(pod.metadata.annotations[key])).data;
    known.set(pod, { value });
    return value;
  };
}
const specOf = annotation(ANNOTATIONS.spec, sandboxSpecSchema);
export const imageOf: (pod: Pod) => ImageRef | undefined = annotation(ANNOTATIONS.image, imageRefSchema);

export function addressOf(pod: Pod): Sandbox["address"] {
  const pin = pod.spec.containers[0]?.env.find(({ name }) => name === POD_ENV.certificate)?.value;
  const host = pod.status.podIP;
  return pin === undefined || host === undefined ? undefined : { kind: "tls", host, port: POD_PORT, pin };
}

/**
 * As the kubelet reports it, which looks once a second; its feature gate `EventedPLEG` made starts three times slower. Code must not be
 * sent before this, either: a network policy enforcer that finds pods by their status would not confine the pod yet.
 */
export const isRunning = (pod: Pod): boolean => pod.status.phase === "Running" && pod.metadata.deletionTimestamp === undefined;

function endOf(pod: Pod): Sandbox["ended"] {
  const end = pod.status.containerStatuses[0]?.state?.terminated;
  const { phase, reason } = pod.status;
  if (end === undefined && phase !== "Failed" && phase !== "Succeeded") return undefined;
  if (end?.reason === "OOMKilled") return { reason: "oom", detail: "It used more memory than its limit." };
  if (reason !== undefined) return { reason: "exited", detail: `The cluster ended it: ${clip(`${reason} ${pod.status.message ?? ""}`)}` };
  return { reason: "exited", detail: "Its process ended by itself." };
}

/** Why a pod that is being started will not come up, as far as its status says; undefined (no pod) counts as deleted. */
export function startFailure(pod: Pod | undefined): string | undefined {
  if (pod === undefined) return "It was deleted while it started.";
  const waits = pod.status.containerStatuses[0]?.state?.waiting;
  if (waits?.reason !== undefined && HOPELESS.has(waits.reason)) return clip(`${waits.reason}: ${waits.message ?? ""}`);
  const ended = endOf(pod);
  return ended === undefined ? undefined : ended.detail;
}

/**
 * The step that the image's first program was not allowed to do, if it ended because of that. Only valid for a pod that has run nothing
 * else yet.
 */
export const whatItMayNot = (pod: Pod): string | undefined =>
  ENTER_EXITS[pod.status.containerStatuses[0]?.state?.terminated?.exitCode ?? 0];

/** Why no node takes the pod, if the scheduler says so. */
export function unschedulable(pod: Pod): string | undefined {
  const condition = pod.status.conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
  return condition?.reason === "Unschedulable" ? clip(condition.message ?? "no node takes it") : undefined;
}

const clip = (detail: string): string => detail.slice(0, DETAIL_CAP);

function parse(json: string | undefined): unknown {
  try {
    return json === undefined ? undefined : JSON.parse(json);
  } catch {
    return undefined;
  }
}
