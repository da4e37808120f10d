// The properties by which two generic sandboxes are interchangeable.
import type { SandboxSpec } from "../../sandbox/driver.ts";

export type PoolKey = Pick<SandboxSpec, "kind" | "base" | "isolation" | "memoryMib" | "egress" | "tenantId" | "codeMib" | "floor">;
/** The name leaves out the floor: the tenant determines it, and the isolation is never below it. */
export const keyName = (key: PoolKey): string =>
  [key.kind, key.base, key.isolation, key.memoryMib, key.egress, key.tenantId ?? "", key.codeMib ?? ""].join("/");
