// The pod of one sandbox, as it goes to the API server. Pure. Tenants supply no part of it (SECURITY 2.A); the admission policy of the
// chart repeats every rule.
import { LIMITS } from "../../../contract/limits.ts";
import { ENTER_ENV, POD_ENV, POD_PORT, SANDBOX_PATHS } from "../../../contract/runtime-protocol.ts";
import type { Isolation } from "../../../contract/names.ts";
import type { SandboxSpec } from "../../driver.ts";
import { codeMib, folders, podMemoryMib } from "./folders.ts";
import { ANNOTATIONS, LABELS, ownLabels, podName, tenantNamespace, type Platform } from "../../../cluster/labels.ts";
import { FUNCTION_ACCOUNT } from "./tenant.ts";
import type { WireObject } from "../../../cluster/wire.ts";

export interface PodInput {
  platform: Platform;
  spec: SandboxSpec & { tenantId: string };
  /** Reference by digest: `registry/repository@sha256:…` (SECURITY A15). */
  image: string;
  /** Key of the instance's own certificate, PEM (SECURITY B8). */
  key: string;
  certificate: string;
  /** URL of the egress proxy with this instance's credential. */
  egress: string | undefined;
  enters: Enters;
}
/** What the first program of a base can do: nothing, mount a function's folders, or everything that this release asks of it. */
export type Enters = "not" | "mounts" | "fully";

/** Names of the cluster's RuntimeClasses (SECURITY A2). */
export const RUNTIME_CLASSES: Record<Isolation, string> = { gvisor: "gvisor", kata: "kata" };
const CONTAINER = "sandbox";
export const POD_UID = 10_001;
/**
 * The most processes and threads of one pod. This is below the node's limit for a pod (`podPidsLimit`), in which gVisor's own threads
 * count, too, so that a function that forks for ever fails before its sandbox does.
 */
export const PIDS = 512;
/** A pod ends by itself after this time, which is below its certificate's life. Busy functions get new instances long before. */
export const POD_LIFE_S = 7 * 24 * 3600;
/** The longest invocation and some time to shut down (SECURITY A14). `stop` asks for less. */
const GRACE_S = LIMITS.timeoutMaxMs / 1000 + 30;
const BUILD_LIFE_S = LIMITS.buildMs / 1000 + 20 * 60; // the 20 minutes are for its wait in the pool
/**
 * The CPU that a pod is guaranteed, not the most it may use. Functions are idle most of the time, so memory fills a node first: 100 idle
 * functions share a core.
 */
const CPU_REQUEST: Record<SandboxSpec["kind"], string> = { function: "10m", builder: "50m" };
const EPHEMERAL = "64Mi";

/** One core up to 1 GiB, two above: bursts are short, and the other cores stay for neighbours. */
const cpus = (memoryMib: number): number => (memoryMib > 1024 ? 2 : 1);

export function instancePod(input: PodInput): WireObject {
  const { platform, spec } = input;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: podName(spec.id),
      namespace: tenantNamespace(platform, spec.tenantId),
      labels: {
        [LABELS.kind]: spec.kind,
        [LABELS.instance]: spec.id,
        [LABELS.epoch]: String(spec.epoch),
        ...(spec.egress ? { [LABELS.egress]: "true" } : {}),
        ...ownLabels(platform, spec.tenantId),
      },
      annotations: { [ANNOTATIONS.spec]: JSON.stringify(spec) },
    },
    spec: {
      ...podSettings(spec),
      containers: [container(input)],
      volumes: volumes(input).map(({ name, mib }) => ({ name, emptyDir: { medium: "Memory", sizeLimit: `${mib}Mi` } })),
    },
  };
}

function podSettings(spec: SandboxSpec) {
  return {
    runtimeClassName: RUNTIME_CLASSES[spec.isolation],
    serviceAccountName: FUNCTION_ACCOUNT,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    restartPolicy: "Never",
    terminationGracePeriodSeconds: GRACE_S,
    activeDeadlineSeconds: spec.kind === "builder" ? BUILD_LIFE_S : POD_LIFE_S,
    // The cluster's DNS cannot be reached and must not be asked. On 127.0.0.1 nothing listens until the bootstrap starts it.
    dnsPolicy: "None",
    dnsConfig: { nameservers: ["127.0.0.1"] },
    hostname: spec.kind,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: POD_UID,
      runAsGroup: POD_UID,
      seccompProfile: { type: "RuntimeDefault" },
      // Linux in Kata reserves ports below 1024 for root (SECURITY A5); gVisor has no such sysctl.
      ...(spec.isolation === "kata" ? { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] } : {}),
    },
  };
}

function container(input: PodInput) {
  const { spec, image, key, certificate, egress } = input;
  const env = {
    [POD_ENV.port]: String(POD_PORT),
    [POD_ENV.key]: key,
    [POD_ENV.certificate]: certificate,
    [POD_ENV.codeBytes]: String(codeMib(spec) * 1024 * 1024),
    ...(egress === undefined ? {} : { [POD_ENV.egress]: egress }),
    ...entering(input),
    FNCTL_MEMORY_MIB: String(spec.memoryMib),
    ...NO_CLUSTER,
  };
  const memory = `${podMemoryMib(spec)}Mi`;
  return {
    name: CONTAINER,
    image,
    imagePullPolicy: "IfNotPresent",
    ports: [{ name: "https", containerPort: POD_PORT, protocol: "TCP" }],
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    resources: {
      requests: { cpu: CPU_REQUEST[spec.kind], memory, "ephemeral-storage": EPHEMERAL },
      limits: { cpu: String(cpus(spec.memoryMib)), memory, "ephemeral-storage": EPHEMERAL },
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    terminationMessagePath: SANDBOX_PATHS.lastWords,
    volumeMounts: volumes(input).map(({ name, path }) => ({ name, mountPath: path })),
  };
}

/** Settings for the image's first program, which must guard the guest's kernel: Kata applies no seccomp profile unless it is told to. */
function entering(input: PodInput): Record<string, string> {
  if (!mountsItself(input)) return {};
  const sizes = folders(input.spec).map(({ path, mib }) => `${path}=${mib * 1024 * 1024}`);
  return {
    [ENTER_ENV.mounts]: sizes.join(" "),
    ...(input.enters === "fully" ? { [ENTER_ENV.pids]: String(PIDS) } : {}),
    ...(input.spec.isolation === "kata" ? { [ENTER_ENV.seccomp]: "on" } : {}),
  };
}

/** Overwrites variables with the API server's address that the kubelet injects even without enableServiceLinks (SECURITY A4). */
const NO_CLUSTER = Object.fromEntries(
  [
    "SERVICE_HOST",
    "SERVICE_PORT",
    "SERVICE_PORT_HTTPS",
    "PORT",
    "PORT_443_TCP",
    "PORT_443_TCP_ADDR",
    "PORT_443_TCP_PORT",
    "PORT_443_TCP_PROTO",
  ].map((name) => [`KUBERNETES_${name}`, ""]),
);

/**
 * Whether the image's first program (runtime-images/base/enter.pl) mounts the folders. A pod with volumes would wait 300 ms for the
 * kubelet's next look at them, and Kata makes a volume in memory as large as the virtual machine. Bases that cannot mount get volumes, in
 * gVisor only.
 */
const mountsItself = ({ spec, enters }: PodInput): boolean => enters === "fully" || (enters === "mounts" && spec.kind === "function");
const volumes = (input: PodInput) => (mountsItself(input) ? [] : folders(input.spec));
