// The isolation of a function: by the tenant's risk alone; a function may ask for more, never for less.
import { PlatformError } from "../contract/errors.ts";
import type { Isolation, Risk } from "../contract/names.ts";

/** Throws INVALID_CONFIG when an elevated tenant asks for less than it must have. */
export function decideIsolation(risk: Risk, asked: Isolation | undefined): Isolation {
  if (risk === "standard") return asked ?? "gvisor";
  if (asked === "gvisor") {
    throw new PlatformError("INVALID_CONFIG", "This tenant's functions run in Kata; a function cannot ask for less.", {
      hint: "Remove `isolation` from fnctl.yaml.",
    });
  }
  return "kata";
}
