// Sets a rule of the tenant's own, and says what came of it: whether it holds already, and what goes before it.
import { splitTarget } from "@fnctl/control-plane/contract/egress-rules";
import { egressRuleSchema, madeEgressRuleSchema } from "@fnctl/control-plane/contract/resources";
import { z } from "zod";
import { CliError } from "../errors/cli-error.ts";
import type { Session } from "../session.ts";
import { deniesOver } from "./denies-over.ts";

const PATH = "/v1/egress/rules";
const listSchema = z.object({ items: z.array(egressRuleSchema) });
export type Rule = z.infer<typeof egressRuleSchema>;
type NewRule = Pick<Rule, "action" | "rule" | "function">;
type Made = z.infer<typeof madeEgressRuleSchema>;

export const scopeOf = ({ function: name }: Pick<Rule, "function">): string => name ?? "all functions";
/** The command that removes a rule, as a shell takes it. */
const removal = ({ rule, function: name }: Pick<Rule, "rule" | "function">): string =>
  `fnctl egress rm ${/[*[]/.test(rule) ? `'${rule}'` : rule}${name === null ? "" : ` --function ${name}`}`;

export async function setRule(session: Session, body: NewRule): Promise<Made> {
  const api = await session.api();
  const made = await api.json(madeEgressRuleSchema, "POST", PATH, { body }).catch((error: unknown) => {
    throw withNext(error, body);
  });
  session.note(`${made.action === "allow" ? "allowed" : "denied"} ${made.rule} for ${scopeOf(made)}`);
  if (made.applied === false)
    session.note("  kept, but not in force yet: the egress proxy is away or late. It holds as soon as the proxy has it.");
  if (made.action === "allow") sayDenies(session, made, (await api.json(listSchema, "GET", PATH)).items);
  return made;
}

/** A refusal of the tenant's own goes before whatever allows, so a new word that it makes void is one that its author believes to hold. */
function sayDenies(session: Session, made: Made, rules: readonly Rule[]): void {
  for (const deny of deniesOver(made, rules)) {
    const whom = made.function === null && deny.function !== null ? ` for ${deny.function}` : "";
    session.note(`  but that has no effect${whom}: deny ${deny.rule} for ${scopeOf(deny)} goes before it. To lift it: ${removal(deny)}`);
  }
}

const NEXT: Record<string, (body: NewRule) => string> = {
  CONFLICT: ({ rule, function: name }) => removal({ rule: splitTarget(rule.toLowerCase()).host, function: name }),
  QUOTA_EXCEEDED: () => "fnctl egress ls",
};
const withNext = (error: unknown, body: NewRule): unknown => {
  const next = error instanceof CliError ? NEXT[error.code]?.(body) : undefined;
  return error instanceof CliError && next !== undefined ? error.with({ next }) : error;
};
