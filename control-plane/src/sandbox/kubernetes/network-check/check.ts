// The active check that the cluster's network confines sandboxes (SECURITY B3, B4): sandboxes of two tenants try to reach addresses that
// must be closed to them. Until the check has succeeded for a class, no tenant's pod is started in the class.
import { z } from "zod";
import type { Condition } from "../../../contract/conditions.ts";
import { PlatformError } from "../../../contract/errors.ts";
import type { Sandbox } from "../../driver.ts";
import { PROBE_TENANTS, createProbeSandboxes, type ProbeOptions } from "../probe-sandbox.ts";
import { createVerdict, type Memory, type Verdict } from "../verdict.ts";
import { probe } from "./probe.ts";
import { judge, targetsOf, type ClusterFacts } from "./targets.ts";

const PROBE_MS = 2_000;

export interface NetworkCheckOptions extends ProbeOptions, Memory {
  /** The cluster's addresses; those of the probing sandboxes are added by the check. */
  facts(): Promise<Omit<ClusterFacts, "otherTenant" | "sameTenant">>;
}

export function createNetworkCheck(options: NetworkCheckOptions): Verdict {
  const sandboxes = createProbeSandboxes(options);
  const { isolation } = options;

  async function look(): Promise<Condition> {
    const running = await sandboxes.start([PROBE_TENANTS[0], PROBE_TENANTS[0], PROBE_TENANTS[1]]);
    try {
      const [one, another, stranger] = running as [Sandbox, Sandbox, Sandbox];
      const targets = targetsOf({ ...(await options.facts()), sameTenant: placeOf(another), otherTenant: placeOf(stranger) });
      const tried = targets.filter(({ onlyFromSandbox }) => onlyFromSandbox !== true);
      const [inside, outside] = await Promise.all([sandboxes.ask(one, "/probe", { targets, timeoutMs: PROBE_MS }), probe(tried, PROBE_MS)]);
      const fromSandbox = z.array(z.string().max(50)).length(targets.length).parse(inside);
      const fromPlatform = targets.map((target) => outside[tried.indexOf(target)]);
      return { ...judge(targets, fromSandbox, fromPlatform, new Date()), isolation };
    } finally {
      await sandboxes.stop(running);
    }
  }
  const claim = `the cluster's network keeps ${isolation} sandboxes of tenants apart`;
  return createVerdict({ ...options, type: "NetworkIsolationVerified", claim, look });
}

function placeOf({ address }: Sandbox): { host: string; port: number } {
  if (address?.kind !== "tls") throw new PlatformError("SANDBOX_FAILED", "A probe has no address.");
  return { host: address.host, port: address.port };
}
