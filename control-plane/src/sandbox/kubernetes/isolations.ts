// Which isolations the cluster really has: a RuntimeClass, and a node that is ready for it. Never a downgrade (SECURITY A2).
import { CoreV1Api, NodeV1Api, type KubeConfig, type V1Node, type V1RuntimeClass } from "@kubernetes/client-node";
import type { Condition } from "../../contract/conditions.ts";
import { ISOLATIONS } from "../../contract/limits.ts";
import { PlatformError } from "../../contract/errors.ts";
import type { Isolation } from "../../contract/names.ts";
import { calling, hasStatus } from "../../cluster/api-error.ts";
import { mibOf } from "./objects/folders.ts";
import { RUNTIME_CLASSES } from "./objects/pod.ts";

/** How long an answer counts as fresh, because nodes come and go. */
const FRESH_MS = 10_000;
/** How long an older answer is used while a newer one is fetched, so that a cold start does not wait for it: the answer seldom changes. */
const USABLE_MS = 60_000;

type Finding = { available: true; overheadMib: number } | { available: false; missing: string };

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
    return judgeIsolation(name, found, nodes);
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
  const lack = (isolation: Isolation): string => {
    const finding = findings[isolation];
    return `This cluster lacks ${finding?.available === false ? finding.missing : "a RuntimeClass"} for ${isolation} isolation.`;
  };
  async function require(isolation: Isolation): Promise<Extract<Finding, { available: true }>> {
    const usable = findings[isolation]?.available === true && performance.now() - at < USABLE_MS;
    if (usable) refresh().catch(onError);
    else await refresh();
    const finding = findings[isolation];
    if (finding?.available === true) return finding;
    throw new PlatformError("ISOLATION_UNAVAILABLE", lack(isolation), {
      hint: `Install the ${isolation} runtime on nodes, label them, and create the RuntimeClass; the cluster page of the manual says how.`,
    });
  }

  return {
    refresh,
    /** The available isolations, as of the last `refresh`. */
    available: (): Isolation[] => ISOLATIONS.filter((isolation) => findings[isolation]?.available === true),
    require: async (isolation: Isolation): Promise<void> => void (await require(isolation)),
    /** Memory that the RuntimeClass adds to a pod's own, MiB. */
    overheadMib: async (isolation: Isolation): Promise<number> => (await require(isolation)).overheadMib,
    /** The condition to report for a class that is not available. */
    missing: (isolation: Isolation): Condition => ({
      type: "SandboxClassVerified",
      isolation,
      status: "Unknown",
      at: new Date().toISOString(),
      message: lack(isolation),
      probes: [],
    }),
  };
}
export type Isolations = ReturnType<typeof createIsolations>;

export function judgeIsolation(name: string, found: V1RuntimeClass | undefined, nodes: readonly V1Node[]): Finding {
  if (found === undefined) return { available: false, missing: `the RuntimeClass ${name}` };
  const wanted = Object.entries(found.scheduling?.nodeSelector ?? {});
  if (nodes.some((node) => isReady(node) && wanted.every(([key, value]) => node.metadata?.labels?.[key] === value)))
    return { available: true, overheadMib: mibOf(found.overhead?.podFixed?.["memory"] ?? "0") };
  return { available: false, missing: `a ready node labelled ${wanted.map((pair) => pair.join("=")).join(", ") || "anyhow"}` };
}

const isReady = (node: V1Node): boolean =>
  node.spec?.unschedulable !== true &&
  (node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false);
