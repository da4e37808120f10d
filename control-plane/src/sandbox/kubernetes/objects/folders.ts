// The folders that a pod can write to. Pure. They are all in the sandbox's own memory, so that a full folder gives ENOSPC inside the
// sandbox and takes nothing of the node's disk (SECURITY A7).
import { SANDBOX_PATHS } from "../../../contract/runtime-protocol.ts";
import type { SandboxSpec } from "../../driver.ts";

export interface Folder {
  /** Name of the volume, where the folder is one. */
  name: string;
  path: string;
  mib: number;
}

const CODE_MIB = 64;
export const codeMib = (spec: SandboxSpec): number => spec.codeMib ?? CODE_MIB;

/**
 * When all folders are full, at least five eighths of a function's memory are left to its processes (80 of 128 MiB; an idle runtime takes
 * 50), so that a write fails with ENOSPC before memory runs out. Code has room of its own beside that.
 */
export function folders(spec: SandboxSpec): Folder[] {
  const { memoryMib } = spec;
  if (spec.kind === "builder")
    return [
      { name: "tmp", path: "/tmp", mib: 64 }, // the build's tools use /build instead
      { name: "shm", path: "/dev/shm", mib: 16 },
      { name: "build", path: "/build", mib: memoryMib - 512 },
    ];
  return [
    { name: "tmp", path: "/tmp", mib: Math.min(512, memoryMib / 4) },
    { name: "shm", path: "/dev/shm", mib: Math.min(64, memoryMib / 8) },
    { name: "code", path: SANDBOX_PATHS.codeMount, mib: codeMib(spec) },
  ];
}

/** Memory of the pod: that of its spec, plus the room for a function's code. */
export const podMemoryMib = (spec: SandboxSpec): number => spec.memoryMib + (spec.kind === "function" ? codeMib(spec) : 0);

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };
/** Whole MiB of a Kubernetes quantity of memory; 0 for an unknown notation, so that it does not count as accounted memory. */
export function mibOf(quantity: string): number {
  const [, number = "0", unit = ""] = /^(\d+(?:\.\d+)?)(k|M|G|Ki|Mi|Gi|)$/.exec(quantity) ?? [];
  return Math.floor((Number(number) * (UNITS[unit] ?? 0)) / 2 ** 20);
}
