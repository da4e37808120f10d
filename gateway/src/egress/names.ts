// A sandbox's resolver asks for a name before anything connects: what the rules say of it now, and no address.
import { isDenied, isHostName, portsOf } from "@fnctl/control-plane/contract/egress-rules";
import { toProblem, type PlatformError } from "@fnctl/control-plane/contract/errors";
import { turnOf, type TunnelDeps } from "./passage.ts";
import { refusalOf } from "./refusal.ts";
import { startRecord, type Source } from "./source.ts";

type Deps = Pick<TunnelDeps, "policies" | "pace" | "log">;

/** The ports on which a name may be reached. Throws FORBIDDEN when there are none. */
export const answerName = (deps: Deps, source: Source, name: string, gone: AbortSignal): Promise<number[]> =>
  requireName(deps, source, [name.toLowerCase()], gone);

/**
 * The ports of the first of these names that a rule covers. Throws FORBIDDEN, of the last one, when there are none; that is logged, because no
 * connection follows it.
 */
export async function requireName(deps: Deps, source: Source, names: readonly string[], gone: AbortSignal): Promise<number[]> {
  await turnOf(deps, source, gone);
  const rules = deps.policies.rulesFor(source.settings);
  const found = names.map((name) => (isHostName(name) ? portsOf(rules, name) : []));
  // What denies one of them goes before what allows another.
  const denied = names.some((name, at) => found[at]!.length === 0 && isDenied(rules, name));
  const ports = denied ? undefined : found.find(({ length }) => length > 0);
  if (ports !== undefined) return ports;
  const host = names.at(-1)!;
  const refusal = refusalOf(denied ? "denied" : "no rule", host, undefined);
  const record = source.refusals.admit({ ...startRecord(source), target: host.slice(0, 300), outcome: outcomeOf(refusal) });
  if (record !== undefined) deps.log(record);
  throw refusal;
}
const outcomeOf = (error: PlatformError): string => {
  const { code, detail } = toProblem(error);
  return `${code}: ${detail}`;
};
