// The rules that hold now for a sandbox: those of its version, which came with it, and its tenant's own, which the change stream tells. The last
// known ones stay while the control plane is away, and over a restart of this process.
import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import type { Allowed, Effective } from "@fnctl/control-plane/contract/egress-rules";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { egressPolicySchema, type EgressSource } from "@fnctl/control-plane/contract/internal";
import { z } from "zod";
import { startChangeFeed, type ChangeFeed } from "../replica/change-feed.ts";
import type { ChangesClient } from "../replica/changes-client.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { PolicyTable, policiesReplica } from "./policy-table.ts";
import { VersionRulesTable, versionRulesReplica } from "./version-rules.ts";

export interface Policies {
  /** Waits a little until the tenants' own rules are known; throws UNAVAILABLE when they are not, because one may be a refusal. */
  known(): Promise<void>;
  rulesFor(settings: EgressSource): Effective;
  /** The rules of a version itself, where they do not come with the sandbox. Waits a little for them; throws UNAVAILABLE. */
  ofVersion(tenantId: string, versionId: string): Promise<readonly Allowed[]>;
  /** Whether the operator opened this private address to the tenant of a function. */
  opens(settings: EgressSource, address: string, port: number): boolean;
  stop(): Promise<void>;
}
interface Deps {
  /** Who tells the change stream; undefined: tenants have no rules of their own here. */
  control: ChangesClient | undefined;
  /** Where the last known rules are kept. */
  file: string | undefined;
  /** A tenant's rules are others now. */
  changed(tenantId: string): void;
  warn(message: string, facts: Record<string, unknown>): void;
}

const fileSchema = z.array(egressPolicySchema);

export function openPolicies({ control, file, changed, warn }: Deps): Policies {
  const table = new PolicyTable((tenantId) => {
    changed(tenantId);
    keep?.soon();
  });
  // What is not the whole, or was never known, must not be taken for it after a restart.
  const whole = () => (known || feed?.primed === true ? table.policies() : undefined);
  const keep = file === undefined || control === undefined ? undefined : createKeep(file, whole, warn);
  let known = false;
  let feed: ChangeFeed | undefined = undefined;
  known = restore(table, file) || control === undefined;
  const versions = new VersionRulesTable();
  const topics = [policiesReplica(table, () => keep?.soon()), versionRulesReplica(versions)];
  if (control !== undefined) feed = startChangeFeed({ control, topics, handlers: {}, warn });
  return {
    async known() {
      if (known) return;
      await feed?.reach(EGRESS_LIMITS.rulesWaitMs);
      known = feed?.primed === true;
      if (!known) throw new PlatformError("UNAVAILABLE", "What this tenant's functions may reach is not known yet.");
    },
    ofVersion: (tenantId, versionId) => versions.of(tenantId, versionId),
    rulesFor: ({ kind, tenantId, functionId, allow }) => ({ allow, own: kind === "function" ? table.rulesOf(tenantId) : [], functionId }),
    opens({ tenantId }, address, port) {
      const family = isIP(address);
      return family !== 0 && table.opens(tenantId, address, family === 6 ? "ipv6" : "ipv4", port);
    },
    async stop() {
      await feed?.stop();
      await keep?.now();
    },
  };
}

/** True: the rules were known before. */
function restore(table: PolicyTable, file: string | undefined): boolean {
  if (file === undefined) return false;
  try {
    for (const policy of fileSchema.parse(JSON.parse(readFileSync(file, "utf8")))) table.set(policy);
    return true;
  } catch {
    return false; // there is none, or it is not whole
  }
}

/** A large table is written so seldom that writing takes no more than this part of the time. */
const SELDOM = 20;
/** Writes what `read` gives, if it gives anything, a little after the last change, one file at a time. */
function createKeep(file: string, read: () => unknown, warn: Deps["warn"]) {
  let timer: NodeJS.Timeout | undefined;
  let tookMs = 0;
  let writing = Promise.resolve();
  function now(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(async () => {
      const begun = performance.now();
      const value = read();
      if (value === undefined) return;
      await writeFile(`${file}.new`, JSON.stringify(value), { mode: 0o600 });
      await rename(`${file}.new`, file);
      tookMs = performance.now() - begun;
    });
    return (writing = writing.catch((error: unknown) => warn("rules were not kept", { error: String(error) })));
  }
  return { soon: () => void (timer ??= setTimeout(() => void now(), Math.max(EGRESS_LIMITS.rulesKeepMs, SELDOM * tookMs))), now };
}
