// What makes two generic sandboxes interchangeable.
import type { SandboxSpec } from "../../sandbox/driver.ts";

export type PoolKey = Pick<SandboxSpec, "kind" | "base" | "isolation" | "memoryMib" | "egress" | "tenantId" | "codeMib" | "floor">;
/** Without the floor: it is the tenant's, and the isolation is never below it. */
export const keyName = (key: PoolKey): string =>
  [key.kind, key.base, key.isolation, key.memoryMib, key.egress, key.tenantId ?? "", key.codeMib ?? ""].join("/");
