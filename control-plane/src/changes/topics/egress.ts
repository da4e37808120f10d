// What tenants say themselves of what their functions may reach, and operators of tenants: for egress proxies. A tenant of whom nothing is said is
// no item.
import type { EgressPolicy } from "../../contract/internal.ts";
import type { SystemDatabase } from "../../db/system-database.ts";
import type { Topic } from "../topic.ts";

type EgressSource = Pick<SystemDatabase, "egressTenants" | "egressRulesOf" | "egressCeilingsOf">;

/** Tenants of a page, each with up to LIMITS.egressOwnRules rules. */
const PAGE_TENANTS = 200;

export const egressTopic = (source: EgressSource): Topic<EgressPolicy> => {
  async function ofTenants(tenantIds: string[]): Promise<EgressPolicy[]> {
    const [rules, ceilings] = await Promise.all([source.egressRulesOf(tenantIds), source.egressCeilingsOf(tenantIds)]);
    const byTenant = Map.groupBy(rules, ({ tenantId }) => tenantId);
    const opened = new Map(ceilings.map((row) => [row.tenantId, row.private]));
    return tenantIds.flatMap((tenantId) => {
      const own = (byTenant.get(tenantId) ?? []).map(({ action, host, ports, functionId }) => ({ action, host, ports, functionId }));
      const ranges = opened.get(tenantId) ?? [];
      return own.length === 0 && ranges.length === 0 ? [] : [{ tenantId, rules: own, private: ranges }];
    });
  }
  return {
    kind: "egress",
    audience: "egress",
    one: async (tenantId) => (await ofTenants([tenantId]))[0],
    async page(after) {
      const tenants = await source.egressTenants(after, PAGE_TENANTS);
      return { items: await ofTenants(tenants), next: tenants.length < PAGE_TENANTS ? undefined : tenants.at(-1) };
    },
    idOf: ({ tenantId }) => tenantId,
    tenantOf: ({ tenantId }) => tenantId,
    changed: (policy) => ({ type: "egress-policy", policy }),
    removed: (tenantId) => ({ type: "egress-policy-removed", tenantId }),
  };
};
