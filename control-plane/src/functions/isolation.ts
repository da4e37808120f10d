// The isolation of a function: by the tenant's risk alone; a function may ask for more, never for less.
import { PlatformError } from "../contract/errors.ts";
import type { Isolation, Risk } from "../contract/names.ts";

/** What a version runs in now. One that asked for less before its tenant was raised gets what the tenant must have. */
export const requiredIsolation = (risk: Risk, asked: Isolation | undefined): Isolation =>
  risk === "elevated" ? "kata" : (asked ?? "gvisor");

/** For a new version. Throws INVALID_CONFIG when it asks for less than its tenant must have. */
export function refuseLess(risk: Risk, asked: Isolation | undefined): void {
  if (asked !== undefined && asked !== requiredIsolation(risk, asked))
    throw new PlatformError("INVALID_CONFIG", "This tenant's functions run in Kata; a function cannot ask for less.", {
      hint: "Remove `isolation` from fnctl.yaml.",
    });
}
