// The tenant's risk decides the isolation of a function; a function may ask for more, never for less.
import { PlatformError } from "../contract/errors.ts";
import type { Isolation, Risk } from "../contract/names.ts";

/**
 * The isolation a version runs in now. A version that asked for less before its tenant's risk was raised gets what the tenant must have
 * now.
 */
export const requiredIsolation = (risk: Risk, asked: Isolation | undefined): Isolation =>
  risk === "elevated" ? "kata" : (asked ?? "gvisor");

/** Throws INVALID_CONFIG when a new version asks for less isolation than its tenant must have. */
export function refuseWeakerIsolation(risk: Risk, asked: Isolation | undefined): void {
  if (asked !== undefined && asked !== requiredIsolation(risk, asked))
    throw new PlatformError("INVALID_CONFIG", "This tenant's functions run in Kata; a function cannot ask for less.", {
      hint: "Remove `isolation` from fnctl.yaml.",
    });
}
