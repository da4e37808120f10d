// What each class of sandboxes promises, and whether the findings of one sandbox match that. Pure.
import { z } from "zod";
import type { Condition, Fact } from "../../../contract/conditions.ts";
import type { Isolation } from "../../../contract/names.ts";
import type { Folder } from "../objects/folders.ts";
import { PIDS, POD_UID } from "../objects/pod.ts";

const word = z.string().max(300);
/** What a sandbox reports of itself (`inspect`). */
export const findingsSchema = z.object({
  kernel: word,
  bootId: word,
  sizes: z.record(word, z.number()),
  memoryKib: z.number(),
  swapKib: z.number(),
  user: word,
  capabilities: z.array(word).max(10),
  noNewPrivileges: word,
  root: word,
  pids: word,
  seccomp: word,
  possible: z.array(word).max(50),
  lastWords: word,
});
export type Findings = z.infer<typeof findingsSchema>;

/** What the sandbox was given by the platform. */
export interface Given {
  isolation: Isolation;
  folders: readonly Folder[];
  /** Memory of the pod plus the overhead of its class: all memory that the cluster accounts for. */
  accountedMib: number;
  /** Boot id of the kernel of the pod's node. */
  nodeBootId: string;
}
type Row = [fact: string, found: string, promised: string, holds: boolean];
const MIB = 1024 * 1024;
/** Space that a file system uses for itself. */
const SLACK = 64 * 1024;
const NO_CAPABILITY = /^0*$/;

export function judgeClass(given: Given, found: Findings, at: Date): Condition {
  const facts = [
    kernel(given, found),
    memory(given, found),
    ...sizes(given, found),
    pids(found),
    systemCalls(given, found),
    ...rights(found),
  ].map(toFact);
  const bad = facts.filter(({ holds }) => !holds);
  const result = { type: "SandboxClassVerified" as const, isolation: given.isolation, at: at.toISOString(), probes: [], facts };
  if (bad.length === 0) return { ...result, status: "True", message: `Sandboxes of the class ${given.isolation} are as promised.` };
  const said = bad.map((one) => `its ${one.fact}: ${one.found}, where ${one.promised} is promised`);
  return { ...result, status: "False", message: `The class ${given.isolation} is not as promised: ${said.join("; ")}.` };
}

const toFact = ([fact, found, promised, holds]: Row): Fact => ({ fact, found, promised, holds });

/** gVisor's kernel names itself; a virtual machine has another boot id than its node, while an ordinary container has the same. */
function kernel({ isolation, nodeBootId }: Given, { kernel: version, bootId }: Findings): Row {
  const isGvisor = /\bgvisor\b/i.test(version);
  if (isolation === "gvisor") return ["kernel", version, "gVisor's", isGvisor];
  const own = bootId !== "" && nodeBootId !== "" && bootId !== nodeBootId;
  const found = isGvisor || own ? version : `${version} (its node's own)`;
  return ["kernel", found, "one of its own in a virtual machine", own && !isGvisor];
}

/**
 * Memory that a virtual machine has beyond what its pod accounts for is taken from its neighbours on the node. A gVisor sandbox is limited
 * by its pod's cgroup, whatever it reports.
 */
function memory({ isolation, accountedMib }: Given, { memoryKib, swapKib }: Findings): Row {
  const mib = Math.ceil(memoryKib / 1024);
  const found = `${mib} MiB${swapKib === 0 ? "" : " and swap"}`;
  if (isolation === "gvisor") return ["memory", found, "its pod's limit", memoryKib > 0];
  return ["memory", found, `at most ${accountedMib} MiB, that its pod accounts for`, memoryKib > 0 && mib <= accountedMib && swapKib === 0];
}

const sizes = ({ folders }: Given, found: Findings): Row[] =>
  folders.map(({ path, mib }) => {
    const bytes = found.sizes[path] ?? 0;
    return [`size of ${path}`, `${(bytes / MIB).toFixed(1)} MiB`, `${mib} MiB`, bytes <= mib * MIB && bytes > mib * MIB - SLACK];
  });

const pids = ({ pids: found }: Findings): Row => ["most processes", found, String(PIDS), found === `${PIDS} ${PIDS}`];

/** Under gVisor no filter is needed, because its own kernel (the Sentry) answers all system calls. */
function systemCalls({ isolation }: Given, { seccomp, possible }: Findings): Row {
  if (isolation === "gvisor") return ["system calls", "answered by the Sentry", "answered by the Sentry", true];
  const found = [seccomp === "2" ? "filtered" : "not filtered", ...(possible.length === 0 ? [] : [`possible: ${possible.join(" ")}`])];
  return ["system calls", found.join(", "), "filtered", seccomp === "2" && possible.length === 0];
}

function rights({ user, capabilities, noNewPrivileges, root, lastWords }: Findings): Row[] {
  const none = capabilities.length > 0 && capabilities.every((set) => set !== "" && NO_CAPABILITY.test(set));
  const found = none ? "none" : capabilities.filter((set) => !NO_CAPABILITY.test(set)).join(" ") || "unknown";
  const promised = `${POD_UID}:${POD_UID}`;
  return [
    ["user", user, promised, user === promised],
    ["capabilities", found, "none", none],
    ["new privileges", noNewPrivileges === "1" ? "none" : "possible", "none", noNewPrivileges === "1"],
    ["root file system", root, "ro", root === "ro"],
    ["file for last words", lastWords, "EACCES", lastWords === "EACCES"],
  ];
}
