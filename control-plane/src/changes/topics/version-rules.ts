// What versions may reach by their own rules: for egress proxies that do not get it with each sandbox. Of versions that are live or tried alone, or a
// tenant's old ones would fill every proxy's memory. A version without rules is no item; one that is not live any more is dropped with the next look
// at all of them, some minutes later, when its instances are gone; proxies know those by then.
import { allowedBy, type EgressConfig } from "../../contract/egress-rules.ts";
import type { VersionRules } from "../../contract/internal.ts";
import type { SystemDatabase } from "../../db/system-database.ts";
import { readPage } from "../page.ts";
import type { Topic } from "../topic.ts";

interface Row {
  tenantId: string;
  id: string;
  egress: EgressConfig;
}

export const versionRulesTopic = (source: Pick<SystemDatabase, "versionWithRules" | "versionsWithRules">): Topic<VersionRules> => ({
  kind: "version",
  audience: "egress",
  async one(id) {
    const row = await source.versionWithRules(id);
    return row === undefined ? undefined : rulesOf(row)[0];
  },
  async page(after) {
    const page = await readPage(
      after,
      (start, most) => source.versionsWithRules(start, most),
      (row) => row,
      rulesOf,
    );
    return { items: page.items.flat(), next: page.next };
  },
  idOf: ({ versionId }) => versionId,
  tenantOf: ({ tenantId }) => tenantId,
  changed: (rules) => ({ type: "version-rules", rules }),
  removed: (versionId) => ({ type: "version-rules-removed", versionId }),
});

/** `allow: []` is no rule. */
function rulesOf({ tenantId, id, egress }: Row): VersionRules[] {
  const allow = allowedBy(egress);
  return allow.length === 0 ? [] : [{ versionId: id, tenantId, allow }];
}
