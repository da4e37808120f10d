// What a pod can write to: data in, data out. All of it in the sandbox's own memory, so that a full one is ENOSPC inside and nothing on the
// node's disk (SECURITY A7).
import { SANDBOX_PATHS } from "../../../contract/runtime-protocol.ts";
import type { SandboxSpec } from "../../driver.ts";

export interface Folder {
  /** Of the volume, where it is one. */
  name: string;
  path: string;
  mib: number;
}

const CODE_MIB = 64;
export const codeMib = (spec: SandboxSpec): number => spec.codeMib ?? CODE_MIB;

/**
 * Full, all together, they leave at least five eighths of a function's memory to its processes (of 128 MiB: 80, where an idle runtime
 * takes 50), so that writing ends with ENOSPC before memory does. Code has room of its own beside that.
 */
export function folders(spec: SandboxSpec): Folder[] {
  const { memoryMib } = spec;
  if (spec.kind === "builder")
    return [
      { name: "tmp", path: "/tmp", mib: 64 }, // its tools use /build
      { name: "shm", path: "/dev/shm", mib: 16 },
      { name: "build", path: "/build", mib: memoryMib - 512 },
    ];
  return [
    { name: "tmp", path: "/tmp", mib: Math.min(512, memoryMib / 4) },
    { name: "shm", path: "/dev/shm", mib: Math.min(64, memoryMib / 8) },
    { name: "code", path: SANDBOX_PATHS.codeMount, mib: codeMib(spec) },
  ];
}

/** The pod's: its kind's memory, and a function's code beside it. */
export const podMemoryMib = (spec: SandboxSpec): number => spec.memoryMib + (spec.kind === "function" ? codeMib(spec) : 0);

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };
/** Whole MiB of a Kubernetes quantity of memory; of one that is written otherwise none, so that nothing is taken for accounted for. */
export function mibOf(quantity: string): number {
  const [, number = "0", unit = ""] = /^(\d+(?:\.\d+)?)(k|M|G|Ki|Mi|Gi|)$/.exec(quantity) ?? [];
  return Math.floor((Number(number) * (UNITS[unit] ?? 0)) / 2 ** 20);
}
