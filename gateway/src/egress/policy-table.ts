// What tenants say themselves of what their functions may reach, and what operators opened to them, as the change stream tells it.
import type { BlockList } from "node:net";
import { blockListOf, cidrSchema } from "@fnctl/control-plane/contract/cidr";
import type { OwnRule } from "@fnctl/control-plane/contract/egress-rules";
import type { Change, EgressPolicy } from "@fnctl/control-plane/contract/internal";
import { tableTopic, type ReplicaTopic } from "../replica/replica-topic.ts";

interface Entry {
  policy: EgressPolicy;
  /** Private addresses that are open, each list on its ports. */
  opened: { list: BlockList; ports: ReadonlySet<number> }[];
}

export class PolicyTable {
  private readonly byTenant = new Map<string, Entry>();
  private readonly changed: (tenantId: string) => void;
  /** `changed` is called after each change of what holds for a tenant. */
  constructor(changed: (tenantId: string) => void) {
    this.changed = changed;
  }
  rulesOf(tenantId: string | null): readonly OwnRule[] {
    return this.entry(tenantId)?.policy.rules ?? [];
  }
  /** Whether the operator opened this private address to the tenant. */
  opens(tenantId: string | null, address: string, family: "ipv4" | "ipv6", port: number): boolean {
    return this.entry(tenantId)?.opened.some(({ list, ports }) => ports.has(port) && list.check(address, family)) ?? false;
  }
  private entry(tenantId: string | null): Entry | undefined {
    return tenantId === null ? undefined : this.byTenant.get(tenantId);
  }
  set(policy: EgressPolicy): void {
    const opened = policy.private.map(({ addresses, ports }) => ({
      list: blockListOf([cidrSchema.parse(addresses)]),
      ports: new Set(ports),
    }));
    this.byTenant.set(policy.tenantId, { policy, opened });
    this.changed(policy.tenantId);
  }
  remove(tenantId: string): void {
    if (this.byTenant.delete(tenantId)) this.changed(tenantId);
  }
  ids(): Iterable<string> {
    return this.byTenant.keys();
  }
  policies(): EgressPolicy[] {
    return Array.from(this.byTenant.values(), ({ policy }) => policy);
  }
}

export const policiesReplica = (table: PolicyTable, ended: () => void): ReplicaTopic => tableTopic(table, changeOf, ended);

function changeOf(change: Change): { id: string; item: EgressPolicy | undefined } | undefined {
  if (change.type === "egress-policy") return { id: change.policy.tenantId, item: change.policy };
  return change.type === "egress-policy-removed" ? { id: change.tenantId, item: undefined } : undefined;
}
