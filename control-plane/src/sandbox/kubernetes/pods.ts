// The pods of all tenants: one watch for each namespace with pods, and the calls that change pods.
import {
  CoreV1Api,
  KubernetesObjectApi,
  PatchStrategy,
  setHeaderOptions,
  type KubeConfig,
  type KubernetesObject,
} from "@kubernetes/client-node";
import { PlatformError } from "../../contract/errors.ts";
import { calling, hasStatus } from "../../cluster/api-error.ts";
import { ANNOTATIONS, LABELS, podName, type Platform } from "../../cluster/labels.ts";
import { podSchema, type Pod } from "./pod-state.ts";
import { openPodWatch, type PodWatch } from "./pod-watch.ts";
import type { WireObject } from "../../cluster/wire.ts";

/** Enough for a bootstrap to end; the node would not confirm a deletion without any grace time. */
const STOP_GRACE_S = 1;
/**
 * Tries to write the annotation of a pod: its status, whose changes conflict with that, changes a few times while it starts, and seldom
 * later.
 */
const CLAIM_TRIES = 5;
/** A node that does not confirm a deletion by then is lost or stuck; the caller retries later. */
const GONE_MS = 60_000;

export function createPods(config: KubeConfig, platform: Platform, onError: (error: unknown) => void) {
  const core = config.makeApiClient(CoreV1Api);
  const objects = KubernetesObjectApi.makeApiClient(config);
  const watches = new Map<string, Promise<PodWatch>>();

  function watch(namespace: string): Promise<PodWatch> {
    const known = watches.get(namespace) ?? openPodWatch({ config, platform, namespace, onError });
    watches.set(namespace, known);
    known.catch(() => watches.delete(namespace));
    return known;
  }
  const opened = (): Promise<PodWatch[]> => Promise.all(watches.values());

  async function find(id: string): Promise<{ pod: Pod; watch: PodWatch } | undefined> {
    for (const each of await opened()) {
      const pod = each.get(podName(id));
      if (pod !== undefined) return { pod, watch: each };
    }
    return undefined;
  }

  return {
    watch,
    find,
    /** Starts to follow every namespace of this platform; called once at the start. */
    async openAll(): Promise<void> {
      const labelSelector = `${LABELS.platform}=${platform.uid}`;
      const { items } = await calling("list namespaces", core.listNamespace({ labelSelector }));
      await Promise.all(items.map(({ metadata }) => watch(metadata?.name ?? "")));
    },
    all: async (): Promise<Pod[]> =>
      (await opened()).flatMap((each) => each.all()).filter(({ metadata }) => metadata.deletionTimestamp === undefined),

    /** Resolves with the pod; a pod that exists already must be this platform's and have the same spec. */
    async create(object: WireObject): Promise<Pod> {
      const { name, namespace = "" } = object.metadata;
      const created = await objects.create(object as KubernetesObject).catch((error: unknown) => {
        if (hasStatus(error, 409)) return core.readNamespacedPod({ name, namespace });
        throw error;
      });
      const pod = podSchema.parse(created);
      if (
        pod.metadata.labels[LABELS.platform] !== platform.uid ||
        pod.metadata.annotations[ANNOTATIONS.spec] !== object.metadata.annotations?.[ANNOTATIONS.spec]
      )
        throw new PlatformError("CONFLICT", `Pod ${name} exists and is not this one; it is left as it is.`);
      return pod;
    },

    /** Writes the loaded image into the pod's annotation; refused when the pod has one by now, or was replaced by another pod. */
    async claim({ pod, watch: from }: { pod: Pod; watch: PodWatch }, image: string): Promise<Pod> {
      const { name, namespace, uid } = pod.metadata;
      let seen = pod;
      for (let tried = 1; ; tried++) {
        const body = { metadata: { resourceVersion: seen.metadata.resourceVersion, annotations: { [ANNOTATIONS.image]: image } } };
        const patch = core.patchNamespacedPod({ name, namespace, body }, setHeaderOptions("Content-Type", PatchStrategy.MergePatch));
        try {
          const after = podSchema.parse(await patch);
          from.note(after);
          return after;
        } catch (error) {
          if (!hasStatus(error, 409) || tried === CLAIM_TRIES) return calling(`claim pod ${name}`, Promise.reject(error as Error));
        }
        // The kubelet has written the pod's status meanwhile. Before the retry, check whether anything else has changed.
        seen = podSchema.parse(await calling(`read pod ${name}`, core.readNamespacedPod({ name, namespace })));
        if (seen.metadata.uid !== uid || seen.metadata.annotations[ANNOTATIONS.image] !== undefined)
          throw new PlatformError("CONFLICT", "The sandbox already belongs to another version or tenant.");
      }
    },

    /** Ends the pod and resolves when the node has confirmed it. */
    async remove({ pod, watch: from }: { pod: Pod; watch: PodWatch }): Promise<void> {
      const { name, namespace, uid } = pod.metadata;
      await core
        // All options are in the body: with a body the API server ignores them in the query.
        .deleteNamespacedPod({ name, namespace, body: { gracePeriodSeconds: STOP_GRACE_S, preconditions: { uid } } })
        .catch((error: unknown) => {
          if (hasStatus(error, 404, 409)) return; // the pod is gone, or another one has its name now
          return calling(`delete pod ${name}`, Promise.reject(error as Error));
        });
      const gone = await from.until(() => (from.get(name)?.metadata.uid === uid ? undefined : true), GONE_MS);
      if (gone === undefined) throw new PlatformError("UNAVAILABLE", `The node does not confirm that pod ${name} has ended.`);
    },

    async forget(namespace: string): Promise<void> {
      const known = watches.get(namespace);
      watches.delete(namespace);
      await (await known)?.close();
    },
    async close(): Promise<void> {
      await Promise.all((await opened()).map((each) => each.close()));
      watches.clear();
    },
  };
}
export type Pods = ReturnType<typeof createPods>;
