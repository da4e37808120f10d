// How many requests of each kind may be at the API at a time, so that neither a tenant nor an anonymous client shuts out the others. A tenant is
// who its token says; without a tenant's token (also with an operator's) a client is its address, and all of those have a part together.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { ApiKind } from "@fnctl/control-plane/contract/api-kinds";

export interface ApiLimits {
  all: number;
  perTenant: number;
  /** Of clients without a tenant's token. */
  strangers: number;
  perStranger: number;
}
export interface ApiClient {
  tenantId: string | undefined;
  /** Undefined: many clients come from there. */
  address: string | undefined;
}

const rateLimited = (what: string): PlatformError =>
  new PlatformError("RATE_LIMITED", `Too many requests of this ${what} to the API are under way.`, {
    hint: "Wait for some of them to end.",
  });
const busy = (): PlatformError =>
  new PlatformError("UNAVAILABLE", "The API has as many requests under way as it may.", { hint: "Try again in a few seconds." });

export class ApiBudget {
  private readonly parts: Record<ApiKind, Part>;

  constructor(limits: Record<ApiKind, ApiLimits>) {
    this.parts = { call: new Part(limits.call), upload: new Part(limits.upload), stream: new Part(limits.stream) };
  }
  /** Throws RATE_LIMITED or UNAVAILABLE; otherwise the client has one more until what is returned is called, once. */
  enter(kind: ApiKind, client: ApiClient): () => void {
    return this.parts[kind].enter(client);
  }
}

class Part {
  private readonly limits: ApiLimits;
  private readonly held = new Map<string, number>();
  private all = 0;
  private strangers = 0;

  constructor(limits: ApiLimits) {
    this.limits = limits;
  }

  enter({ tenantId, address }: ApiClient): () => void {
    const { limits } = this;
    const key = tenantId ?? `from ${address ?? "a proxy"}`;
    const own = this.held.get(key) ?? 0;
    if (tenantId !== undefined && own >= limits.perTenant) throw rateLimited("tenant");
    if (tenantId === undefined && address !== undefined && own >= limits.perStranger) throw rateLimited("address");
    if (this.all >= limits.all || (tenantId === undefined && this.strangers >= limits.strangers)) throw busy();
    this.held.set(key, own + 1);
    this.all += 1;
    if (tenantId === undefined) this.strangers += 1;
    return () => this.leave(key, tenantId === undefined);
  }

  private leave(key: string, stranger: boolean): void {
    this.all -= 1;
    if (stranger) this.strangers -= 1;
    const left = (this.held.get(key) ?? 1) - 1;
    if (left === 0) this.held.delete(key);
    else this.held.set(key, left);
  }
}
