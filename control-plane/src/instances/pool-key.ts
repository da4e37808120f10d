// What makes two generic sandboxes interchangeable.
import type { SandboxSpec } from "../sandbox/driver.ts";

export type PoolKey = Pick<SandboxSpec, "kind" | "base" | "isolation" | "memoryMib" | "egress">;
export const keyName = (key: PoolKey): string => `${key.kind}/${key.base}/${key.isolation}/${key.memoryMib}/${key.egress}`;
