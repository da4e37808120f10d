// What a token's scopes allow: one table that the API and the gateway share.
import type { Scope } from "./resources.ts";

/** What each scope includes. `operator` stands apart: it holds no tenant's rights. */
const INCLUDED: Record<Scope, readonly Scope[]> = {
  operator: ["operator"],
  admin: ["admin", "deploy", "read", "invoke"],
  deploy: ["deploy", "read", "invoke"],
  read: ["read"],
  invoke: ["invoke"],
};

export const allows = (scopes: readonly Scope[], wanted: Scope): boolean => scopes.some((held) => INCLUDED[held].includes(wanted));
