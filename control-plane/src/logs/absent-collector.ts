// Where no log collector is installed: reading says so, notes are dropped.
import { PlatformError } from "../contract/errors.ts";
import type { CollectorClient } from "./collector-client.ts";

export function createAbsentCollector(): CollectorClient {
  return {
    read: () =>
      Promise.reject(
        new PlatformError("UNAVAILABLE", "This cluster keeps no function logs yet.", {
          hint: "Use `kubectl logs` in the tenant's namespace.",
        }),
      ),
    note: async () => undefined,
    owners: async () => [],
    remove: async () => undefined,
  };
}
