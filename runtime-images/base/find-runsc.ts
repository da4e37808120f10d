// The runsc that tests use on this machine: the one `npm run up` and the tests' preparation make, else the one on PATH.
import { existsSync } from "node:fs";
import path from "node:path";

export const cacheDir = (): string => process.env["FNCTL_CACHE_DIR"] ?? "/var/cache/fnctl";

/** Why there is none to use is printed, because the tests that need it are skipped then. */
export function findRunsc(): { binary: string; missing: undefined } | { binary: ""; missing: string } {
  const missing = (reason: string) => {
    console.warn(`Tests in gVisor are skipped: ${reason}.`);
    return { binary: "" as const, missing: reason };
  };
  if (process.getuid?.() !== 0) return missing("runsc needs root");
  const asked = process.env["FNCTL_RUNSC"];
  if (asked !== undefined)
    return existsSync(asked) ? { binary: asked, missing: undefined } : missing(`FNCTL_RUNSC names no file: ${asked}`);
  const folders = [path.join(cacheDir(), "runsc-20260905"), ...(process.env["PATH"] ?? "").split(":")];
  const binary = folders.map((folder) => path.join(folder, "runsc")).find((file) => existsSync(file));
  return binary === undefined ? missing("no runsc in the cache folder or on PATH") : { binary, missing: undefined };
}
