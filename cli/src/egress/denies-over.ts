// Which of a tenant's own refusals make an allowance void. Pure.
import { hostMatches, ownTextSchema } from "@fnctl/control-plane/contract/egress-rules";
import type { egressRuleSchema } from "@fnctl/control-plane/contract/resources";
import type { z } from "zod";

type Rule = Pick<z.infer<typeof egressRuleSchema>, "action" | "rule" | "function">;

/** Those that refuse all of what `allow` is about: for all of its functions, or, where it is for all, for some. */
export function deniesOver<R extends Rule>(allow: Rule, rules: readonly R[]): R[] {
  const wanted = ownTextSchema.safeParse(allow).data;
  if (wanted === undefined) return []; // a newer platform's rule
  const { host, ports } = wanted;
  return rules.filter((rule) => {
    const deny = ownTextSchema.safeParse(rule).data;
    if (deny?.action !== "deny") return false;
    const sameFunction = rule.function === null || allow.function === null || rule.function === allow.function;
    const samePorts = deny.ports.length === 0 || ports.every((port) => deny.ports.includes(port));
    return sameFunction && samePorts && (deny.host === host || deny.host === "*" || hostMatches(deny.host, host));
  });
}
