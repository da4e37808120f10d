// The active check that sandboxes of a class isolate as its name promises: code in one of them inspects the sandbox from inside. Until the
// check has succeeded, no tenant's pod is started in the class.
import type { Condition } from "../../../contract/conditions.ts";
import { SANDBOX_PATHS } from "../../../contract/runtime-protocol.ts";
import type { Sandbox } from "../../driver.ts";
import { folders, podMemoryMib } from "../objects/folders.ts";
import { PROBE_TENANTS, createProbeSandboxes, type ProbeOptions } from "../probe-sandbox.ts";
import { createVerdict, type Memory, type Verdict } from "../verdict.ts";
import { findingsSchema, judgeClass } from "./promises.ts";

export interface ClassCheckOptions extends ProbeOptions, Memory {
  /** What the class adds to a pod's own memory, MiB. */
  overheadMib(): Promise<number>;
  /** Boot id of the kernel of the node where an instance runs. */
  nodeBootId(instance: string): Promise<string>;
}

export function createClassCheck(options: ClassCheckOptions): Verdict {
  const sandboxes = createProbeSandboxes(options);
  const { isolation } = options;

  async function look(): Promise<Condition> {
    const running = await sandboxes.start([PROBE_TENANTS[0]]);
    try {
      const [one] = running as [Sandbox];
      const [overheadMib, nodeBootId] = await Promise.all([options.overheadMib(), options.nodeBootId(one.id)]);
      const given = { isolation, folders: folders(one), accountedMib: podMemoryMib(one) + overheadMib, nodeBootId };
      const paths = given.folders.map(({ path }) => path);
      const found = await sandboxes.ask(one, "/inspect", { folders: paths, file: SANDBOX_PATHS.lastWords });
      return judgeClass(given, findingsSchema.parse(found), new Date());
    } finally {
      await sandboxes.stop(running);
    }
  }
  return createVerdict({
    ...options,
    type: "SandboxClassVerified",
    claim: `sandboxes of the class ${isolation} are what it promises`,
    look,
  });
}
