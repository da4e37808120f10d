// Follows the pods of one tenant's namespace by list and watch (410 lists anew; a broken watch starts again). Level-triggered: after each
// change a waiting caller looks at the whole state.
import { CoreV1Api, Watch, ListWatch, type KubeConfig, type V1Pod } from "@kubernetes/client-node";
import { LABELS, type Platform } from "../../cluster/labels.ts";
import { podSchema, type Pod } from "./pod-state.ts";

const RESTART_MS = 200;

export interface PodWatch {
  readonly namespace: string;
  all(): Pod[];
  get(name: string): Pod | undefined;
  /** Takes in a pod that the API server answered to a write of ours, because it is newer than what the watch has shown so far. */
  note(pod: Pod): void;
  /** Resolves with the first defined value that `look` finds, now or after a change; undefined after `timeoutMs`. */
  until<T>(look: () => T | undefined, timeoutMs: number): Promise<T | undefined>;
  close(): Promise<void>;
}

export interface WatchInput {
  config: KubeConfig;
  platform: Platform;
  namespace: string;
  onError(error: unknown): void;
}

/** Resolves when the first list is in. */
export async function openPodWatch({ config, platform, namespace, onError }: WatchInput): Promise<PodWatch> {
  const pods = new Map<string, Pod>();
  const waiters = new Set<() => void>();
  const changed = () => {
    for (const waiter of waiters) waiter();
  };
  const selector = `${LABELS.platform}=${platform.uid}`;
  const core = config.makeApiClient(CoreV1Api);
  let listed = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const informer = new ListWatch<V1Pod>(
    `/api/v1/namespaces/${namespace}/pods`,
    new Watch(config),
    async () => {
      const list = await core.listNamespacedPod({ namespace, labelSelector: selector });
      listed = true;
      setImmediate(changed); // an empty namespace causes no event
      return list;
    },
    false,
    selector,
  );
  const put = (object: V1Pod) => {
    const pod = podSchema.safeParse(object);
    if (!pod.success) return onError(pod.error);
    const known = pods.get(pod.data.metadata.name);
    if (known !== undefined && known.metadata.uid === pod.data.metadata.uid && isOlder(pod.data, known)) return;
    pods.set(pod.data.metadata.name, pod.data);
    changed();
  };
  informer.on("add", put);
  informer.on("update", put);
  informer.on("delete", (object) => {
    pods.delete(object.metadata?.name ?? "");
    changed();
  });
  informer.on("error", (error) => {
    if (closed) return;
    onError(error);
    timer = setTimeout(() => void informer.start().catch(onError), RESTART_MS);
  });

  const watch: PodWatch = {
    namespace,
    all: () => [...pods.values()],
    get: (name) => pods.get(name),
    note(pod) {
      pods.set(pod.metadata.name, pod);
      changed();
    },
    until: (look, timeoutMs) =>
      new Promise((resolve) => {
        const end = setTimeout(() => finish(undefined), timeoutMs);
        function finish(value: ReturnType<typeof look>): void {
          clearTimeout(end);
          waiters.delete(tryNow);
          resolve(value);
        }
        function tryNow(): void {
          const value = look();
          if (value !== undefined) finish(value);
        }
        waiters.add(tryNow);
        tryNow();
      }),
    async close() {
      closed = true;
      clearTimeout(timer);
      await informer.stop();
    },
  };
  void informer.start().catch(onError);
  await watch.until(() => (listed ? true : undefined), FIRST_LIST_MS);
  return watch;
}
const FIRST_LIST_MS = 10_000;

/** Kubernetes promises since 1.35 that an object's versions can be compared as numbers (KEP-5504); that was true before, too. */
const isOlder = (pod: Pod, known: Pod): boolean => BigInt(pod.metadata.resourceVersion) < BigInt(known.metadata.resourceVersion);
