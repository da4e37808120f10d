// For every rule of the admission policy for pods, a change that breaks it.
// oxlint-disable typescript/no-explicit-any -- objects as on the wire, changed into what no type allows
type Change = (spec: any, box: any, metadata: any) => void;
/** Changes of a good pod, each with the rule that must refuse it. The pod's namespace is not that of `otherTenant`. */
export const podMutations = (facts: { images: string; otherTenant: string; epoch: number }): [string, RegExp, Change][] => [
  ["no runtime class", /fnctl A2: runtimeClassName/, (spec) => delete spec.runtimeClassName],
  ["a token", /fnctl A3/, (spec) => (spec.automountServiceAccountToken = true)],
  ["nothing said about a token", /fnctl A3/, (spec) => delete spec.automountServiceAccountToken],
  ["another account", /fnctl A3/, (spec) => (spec.serviceAccountName = "default")],
  ["service links", /fnctl A4/, (spec) => delete spec.enableServiceLinks],
  ["a second container", /fnctl A5: exactly/, (spec, box) => spec.containers.push({ ...box, name: "two" })],
  ["an init container", /fnctl A5: exactly/, (spec, box) => (spec.initContainers = [{ ...box, name: "first" }])],
  ["root", /fnctl A5: the pod's user/, (spec) => (spec.securityContext.runAsUser = 0)],
  ["a user below 10000", /fnctl A5: the pod's user/, (spec) => (spec.securityContext.runAsUser = 9999)],
  ["root's group", /fnctl A5: the pod's user/, (spec) => (spec.securityContext.runAsGroup = 0)],
  ["a group of files", /fnctl A5: the pod's user/, (spec) => (spec.securityContext.fsGroup = 0)],
  ["more groups", /fnctl A5: the pod's user/, (spec) => (spec.securityContext.supplementalGroups = [0])],
  ["no seccomp", /fnctl A5: the pod's user/, (spec) => (spec.securityContext.seccompProfile = { type: "Unconfined" })],
  ["no AppArmor", /fnctl A5: the pod's user/, (spec) => (spec.securityContext.appArmorProfile = { type: "Unconfined" })],
  [
    "another sysctl",
    /fnctl A5: the only sysctl/,
    (spec) => (spec.securityContext.sysctls = [{ name: "kernel.shm_rmid_forced", value: "0" }]),
  ],
  ["privilege escalation", /fnctl A5: the container has/, (_spec, box) => delete box.securityContext.allowPrivilegeEscalation],
  ["a privileged container", /fnctl A5: the container has/, (_spec, box) => (box.securityContext = { privileged: true })],
  ["a writable root", /fnctl A5: the container has/, (_spec, box) => delete box.securityContext.readOnlyRootFilesystem],
  ["a capability", /fnctl A5: the container has/, (_spec, box) => (box.securityContext.capabilities.add = ["SYS_TIME"])],
  ["capabilities kept", /fnctl A5: the container has/, (_spec, box) => (box.securityContext.capabilities.drop = ["NET_RAW"])],
  ["another user in the container", /fnctl A5: the container does not weaken/, (_spec, box) => (box.securityContext.runAsUser = 20_000)],
  [
    "another seccomp in the container",
    /fnctl A5: the container does not weaken/,
    (_spec, box) => (box.securityContext.seccompProfile = { type: "Unconfined" }),
  ],
  ["a volume of the host", /fnctl A7/, (spec) => (spec.volumes[0] = { name: "tmp", hostPath: { path: "/" } })],
  ["a volume on the node's disk", /fnctl A7/, (spec) => (spec.volumes[0] = { name: "tmp", emptyDir: { sizeLimit: "1Mi" } })],
  ["a volume without a limit", /fnctl A7/, (spec) => (spec.volumes[0] = { name: "tmp", emptyDir: { medium: "Memory" } })],
  [
    "a projected token",
    /fnctl A7/,
    (spec) => (spec.volumes[0] = { name: "tmp", projected: { sources: [{ serviceAccountToken: { path: "t" } }] } }),
  ],
  ["a secret", /fnctl A7/, (spec) => (spec.volumes[0] = { name: "tmp", secret: { secretName: "x" } })],
  ["a part of a volume", /fnctl A11: mounts/, (spec, box) => mountPart(spec, box)],
  ["no limit of memory", /fnctl A8/, (_spec, box) => (box.resources = { requests: { memory: "64Mi" }, limits: { cpu: "1" } })],
  ["less memory requested than allowed", /fnctl A8/, (_spec, box) => (box.resources.requests.memory = "1Mi")],
  ["the host's network", /fnctl A11: nothing of the host/, (spec) => (spec.hostNetwork = true)],
  ["the host's processes", /fnctl A11: nothing of the host/, (spec) => (spec.hostPID = true)],
  ["the host's IPC", /fnctl A11: nothing of the host/, (spec) => (spec.hostIPC = true)],
  ["shared processes", /fnctl A11: nothing of the host/, (spec) => (spec.shareProcessNamespace = true)],
  ["a port of the host", /fnctl A11: nothing of the host/, (_spec, box) => (box.ports[0].hostPort = 8443)],
  [
    "an annotation for Kata",
    /fnctl A12: only the platform's annotations/,
    (_s, _b, meta) => (meta.annotations["io.katacontainers.config.hypervisor.path"] = "/x"),
  ],
  [
    "an annotation for gVisor",
    /fnctl A12: only the platform's annotations/,
    (_s, _b, meta) => (meta.annotations["dev.gvisor.flag.network"] = "host"),
  ],
  ["the gateway's label", /fnctl A12: only the platform's labels/, (_s, _b, meta) => (meta.labels["fnctl.dev/role"] = "gateway")],
  ["another tenant's label", /fnctl A13/, (_s, _b, meta) => (meta.labels["fnctl.dev/tenant"] = facts.otherTenant)],
  ["another platform's label", /fnctl A13/, (_s, _b, meta) => (meta.labels["fnctl.dev/platform"] = "x")],
  ["an endless life", /fnctl A14/, (spec) => delete spec.activeDeadlineSeconds],
  ["restarts", /fnctl A14/, (spec) => (spec.restartPolicy = "Always")],
  ["more than 1000 s of grace", /fnctl A14/, (spec) => (spec.terminationGracePeriodSeconds = 1001)],
  ["a tag", /fnctl A15: a base image/, (_spec, box) => (box.image = `${facts.images}/base:node24`)],
  ["another registry", /fnctl A15: a base image/, (_spec, box) => (box.image = `evil.example.com/base@sha256:${"a".repeat(64)}`)],
  ["a tenant's image", /fnctl A15: a base image/, (_spec, box) => (box.image = `${facts.images}/tenant@sha256:${"a".repeat(64)}`)],
  ["a pull secret", /fnctl A15: a base image/, (spec) => (spec.imagePullSecrets = [{ name: "x" }])],
  ["another program", /fnctl A15: the image's own/, (_spec, box) => (box.command = ["sh"])],
  ["arguments", /fnctl A15: the image's own/, (_spec, box) => (box.args = ["x"])],
  ["a hook", /fnctl A15: the image's own/, (_spec, box) => (box.lifecycle = { preStop: { exec: { command: ["x"] } } })],
  ["a probe", /fnctl A15: the image's own/, (_spec, box) => (box.livenessProbe = { exec: { command: ["x"] } })],
  ["a terminal", /fnctl A15: the image's own/, (_spec, box) => (box.tty = true)],
  ["Kata without its filter of system calls", /fnctl A9/, inKata(without("FNCTL_SECCOMP"))],
  ["Kata with a filter that is off", /fnctl A9/, inKata((_spec, box) => (box.env.at(-1).value = "off"))],
  ["Kata without a bound of processes", /fnctl A9/, inKata(without("FNCTL_PIDS"))],
  ["Kata without folders of its own", /fnctl A9/, inKata(without("FNCTL_MOUNTS"))],
  [
    "Kata with a volume, which is as large as its machine",
    /fnctl A9/,
    inKata((spec) => (spec.volumes = [{ name: "tmp", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } }])),
  ],
  ["last words where anybody may write", /fnctl A16/, (_spec, box) => delete box.terminationMessagePath],
  ["last words in another folder", /fnctl A16/, (_spec, box) => (box.terminationMessagePath = "/tmp/x")],
  ["last words from the log", /fnctl A16/, (_spec, box) => (box.terminationMessagePolicy = "FallbackToLogsOnError")],
  [
    "environment from a secret",
    /fnctl C4/,
    (_spec, box) => box.env.push({ name: "X", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }),
  ],
  ["environment from a map", /fnctl C4/, (_spec, box) => (box.envFrom = [{ configMapRef: { name: "kube-root-ca.crt" } }])],
  ["the cluster's DNS", /fnctl B3/, (spec) => (spec.dnsPolicy = "ClusterFirst")],
  ["another name server", /fnctl B3/, (spec) => (spec.dnsConfig.nameservers = ["10.96.0.10"])],
  ["names of hosts", /fnctl B3/, (spec) => (spec.hostAliases = [{ ip: "10.0.0.1", hostnames: ["x"] }])],
  ["a node of its choice", /fnctl A10/, (spec) => (spec.nodeName = "node1")],
  ["a place near something", /fnctl A10/, (spec) => (spec.affinity = { nodeAffinity: {} })],
  ["tolerance of everything", /fnctl A10/, (spec) => (spec.tolerations = [{ operator: "Exists" }])],
  ["a higher priority", /fnctl A10/, (spec) => (spec.priorityClassName = "system-node-critical")],
  ["another scheduler", /fnctl A10/, (spec) => (spec.schedulerName = "mine")],
  ["no word of what it was made from", /fnctl C5/, (_s, _b, meta) => delete meta.annotations["fnctl.dev/spec"]],
  ["an image before it runs", /fnctl C5/, (_s, _b, meta) => (meta.annotations["fnctl.dev/image"] = "{}")],
  [
    "an owner that lost its place",
    /fnctl fact 8: the pod's epoch/,
    (_s, _b, meta) => (meta.labels["fnctl.dev/epoch"] = String(facts.epoch - 1)),
  ],
  ["an epoch that is no number", /fnctl fact 8: the pod's epoch/, (_s, _b, meta) => (meta.labels["fnctl.dev/epoch"] = "9x")],
];

function mountPart(spec: any, box: any): void {
  spec.volumes = [{ name: "tmp", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } }];
  box.volumeMounts = [{ name: "tmp", mountPath: "/tmp", subPath: "x" }];
}
/** A change of a pod that is otherwise correct for Kata. */
const inKata =
  (change: Change): Change =>
  (spec, box, metadata) => {
    spec.runtimeClassName = "kata";
    box.env.push({ name: "FNCTL_SECCOMP", value: "on" });
    change(spec, box, metadata);
  };
const without =
  (name: string): Change =>
  (_spec, box) =>
    (box.env = box.env.filter((one: any) => one.name !== name));
