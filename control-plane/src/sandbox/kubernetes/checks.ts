// Verifies each class of sandboxes before tenants' pods start in it: that its network is closed, and that it isolates as its name promises.
// A class that the cluster does not have is no fault; a class that is added later is checked when it is first asked for.
import type { Condition } from "../../contract/conditions.ts";
import { ISOLATIONS } from "../../contract/limits.ts";
import type { Isolation } from "../../contract/names.ts";
import { createClassCheck, type ClassCheckOptions } from "./class-check/check.ts";
import type { Isolations } from "./isolations.ts";
import { createNetworkCheck, type NetworkCheckOptions } from "./network-check/check.ts";
import type { ProbeOptions } from "./probe-sandbox.ts";
import type { Memory, Verdict } from "./verdict.ts";

export interface ChecksOptions extends Omit<ProbeOptions, "isolation"> {
  isolations: Isolations;
  facts: NetworkCheckOptions["facts"];
  nodeBootId: ClassCheckOptions["nodeBootId"];
  /** Earlier results of a check, and the place where new results are kept. */
  memory(type: Condition["type"], isolation: Isolation): Memory;
}

export function createChecks(options: ChecksOptions) {
  const { isolations, memory } = options;
  const known = new Map<Isolation, Verdict[]>();

  function of(isolation: Isolation): Verdict[] {
    const there = known.get(isolation);
    if (there !== undefined) return there;
    const made = [
      createNetworkCheck({ ...options, ...memory("NetworkIsolationVerified", isolation), isolation }),
      createClassCheck({
        ...options,
        ...memory("SandboxClassVerified", isolation),
        isolation,
        overheadMib: () => isolations.overheadMib(isolation),
      }),
    ];
    known.set(isolation, made);
    return made;
  }
  const available = async (): Promise<Isolation[]> => {
    await isolations.refresh();
    return isolations.available();
  };

  return {
    /** Starts the checks of all available classes. */
    async begin(): Promise<void> {
      for (const isolation of await available()) for (const verdict of of(isolation)) void verdict.run();
    },
    /** Resolves when tenants' pods may be started in the class. */
    async require(isolation: Isolation): Promise<void> {
      await isolations.require(isolation);
      await Promise.all(of(isolation).map((verdict) => verdict.require()));
    },
    current: (): Condition[] => ISOLATIONS.flatMap((isolation) => (known.get(isolation) ?? []).map((verdict) => verdict.current())),
    /** Checks all available classes anew; when none is available, the result says what each one lacks. */
    async run(): Promise<Condition[]> {
      const there = await available();
      if (there.length === 0) return ISOLATIONS.map((isolation) => isolations.missing(isolation));
      return Promise.all(there.flatMap(of).map((verdict) => verdict.run()));
    },
    close(): void {
      for (const verdict of [...known.values()].flat()) verdict.close();
    },
  };
}
export type Checks = ReturnType<typeof createChecks>;
