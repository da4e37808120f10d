// The OCI runtime spec of one sandbox. Pure. Tenants supply no part of it (SECURITY 2.A).
import { SANDBOX_PATHS } from "../../contract/runtime-protocol.ts";
import type { SandboxSpec } from "../driver.ts";
import { CPU_SHARES } from "./cpu-groups.ts";

const MIB = 1024 * 1024;
/** Memory for the Sentry, its stubs and the gofer, which run in the same cgroup as the function. */
const SANDBOX_OVERHEAD_MIB = 64;
/** gVisor's threads and stub processes count, too, so the limit is above the number that a function itself may have. */
export const PIDS_LIMIT = 1024;
const CPU_PERIOD_US = 100_000;

export interface BaseProcess {
  args: string[];
  env: string[];
  cwd: string;
}
export interface SpecInput {
  spec: SandboxSpec;
  uid: number;
  base: BaseProcess;
  rootfs: string;
  box: string;
  code: string;
  egress: string | undefined;
  cgroupsPath: string;
}

/** Folder sizes: a builder unpacks and installs in memory, a function has scratch space. */
function scratch(spec: SandboxSpec): { path: string; mib: number }[] {
  if (spec.kind === "builder")
    return [
      { path: "/tmp", mib: 256 },
      { path: "/build", mib: spec.memoryMib - 512 },
    ];
  return [
    { path: "/tmp", mib: Math.min(512, spec.memoryMib / 2) },
    { path: "/dev/shm", mib: Math.min(64, spec.memoryMib / 4) },
  ];
}

/** One core up to 1 GiB, two above: bursts are short, and the other cores stay for neighbours. */
const cpus = (memoryMib: number): number => (memoryMib > 1024 ? 2 : 1);

const sharesOf = ({ kind, memoryMib }: SandboxSpec): number =>
  kind === "builder" ? CPU_SHARES.builder : CPU_SHARES.instance * cpus(memoryMib);
/**
 * When the machine's memory is used up, the kernel should end a sandbox and no service of the platform. The services keep 0, because
 * lowering theirs needs a capability that not every host gives (proc(5), oom_score_adj). Builders end first, as a build is easier to repeat
 * than a request.
 */
export const OOM_SCORE = { function: 500, builder: 700 } as const;

const tmpfs = (path: string, mib: number) => ({
  destination: path,
  type: "tmpfs",
  source: "tmpfs",
  options: ["nosuid", "nodev", `size=${mib * MIB}`, "mode=1777"],
});
const bind = (source: string, destination: string, options: string[]) => ({ destination, type: "bind", source, options });

export function buildRuntimeSpec(input: SpecInput) {
  const { spec, uid, base } = input;
  const memory = (spec.memoryMib + SANDBOX_OVERHEAD_MIB) * MIB;
  return {
    ociVersion: "1.1.0",
    hostname: spec.kind,
    process: {
      terminal: false,
      user: { uid, gid: uid, umask: 0o022 },
      args: base.args,
      env: [...base.env, `FNCTL_MEMORY_MIB=${spec.memoryMib}`],
      cwd: base.cwd,
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      rlimits: [
        { type: "RLIMIT_NOFILE", hard: 8192, soft: 8192 },
        { type: "RLIMIT_CORE", hard: 0, soft: 0 },
      ],
      noNewPrivileges: true,
      oomScoreAdj: OOM_SCORE[spec.kind],
    },
    root: { path: input.rootfs, readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      ...scratch(spec).map(({ path, mib }) => tmpfs(path, mib)),
      bind(input.box, SANDBOX_PATHS.socketFolder, ["bind", "rw", "nosuid", "nodev", "noexec"]),
      // rslave: a mount that the host binds on an entry of this folder later appears in the running sandbox.
      bind(input.code, SANDBOX_PATHS.codeMount, ["rbind", "rslave", "ro", "nosuid", "nodev"]),
      ...(input.egress === undefined ? [] : [bind(input.egress, "/run/fn/egress", ["bind", "ro", "nosuid", "nodev", "noexec"])]),
    ],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      cgroupsPath: input.cgroupsPath,
      resources: {
        memory: { limit: memory, swap: memory },
        cpu: { period: CPU_PERIOD_US, quota: cpus(spec.memoryMib) * CPU_PERIOD_US, shares: sharesOf(spec) },
        pids: { limit: PIDS_LIMIT },
      },
      maskedPaths: ["/proc/kcore", "/proc/keys"],
      readonlyPaths: ["/proc/sys"],
    },
  };
}
