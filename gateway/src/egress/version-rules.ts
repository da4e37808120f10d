// What versions may reach by their own rules, as the change stream tells it to proxies that do not get it with each sandbox.
import { EventEmitter, once } from "node:events";
import type { Allowed } from "@fnctl/control-plane/contract/egress-rules";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Change, VersionRules } from "@fnctl/control-plane/contract/internal";
import { tableTopic, type ReplicaTopic } from "../replica/replica-topic.ts";
import { EGRESS_LIMITS } from "./limits.ts";

export class VersionRulesTable {
  private readonly byVersion = new Map<string, VersionRules>();
  private readonly news = new EventEmitter().setMaxListeners(0);

  set(rules: VersionRules): void {
    this.byVersion.set(rules.versionId, rules);
    this.news.emit(rules.versionId);
  }
  remove(versionId: string): void {
    this.byVersion.delete(versionId);
  }
  ids(): Iterable<string> {
    return this.byVersion.keys();
  }
  /** Waits a little for a version that was just built; throws UNAVAILABLE when its rules are not told. */
  async of(tenantId: string, versionId: string): Promise<readonly Allowed[]> {
    if (!this.byVersion.has(versionId))
      await once(this.news, versionId, { signal: AbortSignal.timeout(EGRESS_LIMITS.rulesWaitMs) }).catch(() => undefined);
    const known = this.byVersion.get(versionId);
    if (known?.tenantId !== tenantId) throw new PlatformError("UNAVAILABLE", "What this version may reach is not known yet.");
    return known.allow;
  }
}

export const versionRulesReplica = (table: VersionRulesTable): ReplicaTopic => tableTopic(table, changeOf);

function changeOf(change: Change): { id: string; item: VersionRules | undefined } | undefined {
  if (change.type === "version-rules") return { id: change.rules.versionId, item: change.rules };
  return change.type === "version-rules-removed" ? { id: change.versionId, item: undefined } : undefined;
}
