// Which isolations the cluster really has: a RuntimeClass, and a node that is ready for it. Never a downgrade (SECURITY A2).
import { CoreV1Api, NodeV1Api, type KubeConfig, type V1Node } from "@kubernetes/client-node";
import { ISOLATIONS } from "../../contract/limits.ts";
import { PlatformError } from "../../contract/errors.ts";
import type { Isolation } from "../../contract/names.ts";
import { calling, hasStatus } from "./api-error.ts";
import { RUNTIME_CLASSES } from "./objects/pod.ts";

/** Nodes come and go; so long an answer is good. */
const FRESH_MS = 10_000;
/** And so long it serves while a newer one is fetched: a cold start does not wait for what seldom changes. */
const USABLE_MS = 60_000;

type Finding = { available: true } | { available: false; missing: string };

export function createIsolations(config: KubeConfig, onError: (error: unknown) => void) {
  const nodesApi = config.makeApiClient(CoreV1Api);
  const classesApi = config.makeApiClient(NodeV1Api);
  let findings: Partial<Record<Isolation, Finding>> = {};
  let at = -Infinity;

  async function find(isolation: Isolation, nodes: V1Node[]): Promise<Finding> {
    const name = RUNTIME_CLASSES[isolation];
    const found = await classesApi
      .readRuntimeClass({ name })
      .catch((error: unknown) => (hasStatus(error, 404) ? undefined : Promise.reject(error as Error)));
    if (found === undefined) return { available: false, missing: `the RuntimeClass ${name}` };
    const wanted = Object.entries(found.scheduling?.nodeSelector ?? {});
    if (nodes.some((node) => isReady(node) && wanted.every(([key, value]) => node.metadata?.labels?.[key] === value)))
      return { available: true };
    return { available: false, missing: `a ready node labelled ${wanted.map((pair) => pair.join("=")).join(", ") || "anyhow"}` };
  }

  let running: Promise<void> | undefined;
  const refresh = (): Promise<void> => {
    if (performance.now() - at < FRESH_MS) return Promise.resolve();
    running ??= look().finally(() => (running = undefined));
    return running;
  };
  async function look(): Promise<void> {
    const { items } = await calling("list nodes", nodesApi.listNode());
    const all = await calling("read RuntimeClasses", Promise.all(ISOLATIONS.map((isolation) => find(isolation, items))));
    findings = Object.fromEntries(ISOLATIONS.map((isolation, index) => [isolation, all[index]]));
    at = performance.now();
  }

  return {
    refresh,
    /** As last looked at. */
    available: (): Isolation[] => ISOLATIONS.filter((isolation) => findings[isolation]?.available === true),
    async require(isolation: Isolation): Promise<void> {
      const usable = findings[isolation]?.available === true && performance.now() - at < USABLE_MS;
      if (usable) refresh().catch(onError);
      else await refresh();
      const finding = findings[isolation];
      if (finding?.available === true) return;
      throw new PlatformError(
        "ISOLATION_UNAVAILABLE",
        `This cluster lacks ${finding?.missing ?? "a RuntimeClass"} for ${isolation} isolation.`,
        {
          hint: `Install the ${isolation} runtime on nodes, label them, and create the RuntimeClass; the cluster page of the manual says how.`,
        },
      );
    },
  };
}

const isReady = (node: V1Node): boolean =>
  node.spec?.unschedulable !== true &&
  (node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false);
