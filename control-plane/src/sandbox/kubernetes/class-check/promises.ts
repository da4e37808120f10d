// What is promised of each class of sandboxes, and whether what one found in itself is that. Pure.
import { z } from "zod";
import type { Condition, Fact } from "../../../contract/conditions.ts";
import type { Isolation } from "../../../contract/names.ts";
import type { Folder } from "../objects/folders.ts";
import { PIDS, POD_UID } from "../objects/pod.ts";

const word = z.string().max(300);
/** A sandbox's own word (`inspect`). */
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

/** What the sandbox was given. */
export interface Given {
  isolation: Isolation;
  folders: readonly Folder[];
  /** Of the pod with the overhead of its class: all that the cluster accounts for. */
  accountedMib: number;
  /** Of the kernel that the pod's node runs. */
  nodeBootId: string;
}
type Row = [fact: string, found: string, promised: string, holds: boolean];
const MIB = 1024 * 1024;
/** What a file system keeps for itself. */
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

/** gVisor says so itself; a virtual machine has been started at another time than its node, and a container of the node has not. */
function kernel({ isolation, nodeBootId }: Given, { kernel: version, bootId }: Findings): Row {
  const isGvisor = /\bgvisor\b/i.test(version);
  if (isolation === "gvisor") return ["kernel", version, "gVisor's", isGvisor];
  const own = bootId !== "" && nodeBootId !== "" && bootId !== nodeBootId;
  const found = isGvisor || own ? version : `${version} (its node's own)`;
  return ["kernel", found, "one of its own in a virtual machine", own && !isGvisor];
}

/**
 * Memory that a machine has and its pod does not account for is taken from its neighbours on the node. A gVisor sandbox is in its pod's
 * cgroup whatever it says.
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

/** gVisor's own kernel is the filter, and answers them all. */
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
