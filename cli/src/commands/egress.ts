import { ownTextSchema } from "@fnctl/control-plane/contract/egress-rules";
import { egressRuleSchema } from "@fnctl/control-plane/contract/resources";
import { z } from "zod";
import { setRule, scopeOf } from "../egress/set-rule.ts";
import { CliError, usage } from "../errors/cli-error.ts";
import { addCommand, createSession, type GlobalFlags, type Register, type Session } from "../session.ts";
import { addEgressLog, addEgressSuggest } from "./egress-log.ts";
import { addEgressUsage } from "./egress-usage.ts";
import { table } from "../terminal/table.ts";

const PATH = "/v1/egress/rules";
const listSchema = z.object({ items: z.array(egressRuleSchema) });
type Flags = GlobalFlags & { function?: string };

export const egress: Register = (program, io) => {
  const group = program.command("egress").description("say what the tenant's functions may reach, beside their own fnctl.yaml");
  addCommand(group, "ls", "list the tenant's own rules").action(async (flags: GlobalFlags) => {
    const session = createSession(io, flags);
    const { items } = await (await session.api()).json(listSchema, "GET", PATH);
    if (items.length === 0) session.note("no rules of the tenant's own; functions reach what their fnctl.yaml allows");
    const rows = items.map((item) => [item.action, item.rule, scopeOf(item), item.createdAt]);
    session.result({ items }, items.length === 0 ? "" : table(["ACTION", "RULE", "OF", "SINCE"], rows));
  });
  for (const [action, what] of [
    ["allow", "let running and new functions reach a host, now"],
    ["deny", "refuse a host whatever allows it, now; * is every host"],
  ] as const)
    withTarget(addCommand(group, action, what)).action(async (rule: string, flags: Flags) => {
      const session = createSession(io, flags);
      const body = { action, rule, function: flags.function ?? null };
      checkRule(body);
      if (flags.dryRun === true) return session.note(`dry run: would ${action} ${rule} for ${scopeOf(body)}`);
      session.result(await setRule(session, body), "");
    });
  withTarget(addCommand(group, "rm", "remove a rule of the tenant's own")).action(async (rule: string, flags: Flags) => {
    const session = createSession(io, flags);
    const { found, api } = await findRule(session, rule, flags.function ?? null);
    if (flags.dryRun === true) return session.note(`dry run: would remove ${found.action} ${found.rule} for ${scopeOf(found)}`);
    await api.send("DELETE", `${PATH}/${encodeURIComponent(found.id)}`, { repeat: false });
    session.note(`removed ${found.action} ${found.rule} for ${scopeOf(found)}`);
    session.result({ removed: found }, "");
  });
  addEgressLog(group, io);
  addEgressSuggest(group, io);
  addEgressUsage(group, io);
};

const withTarget = (command: ReturnType<typeof addCommand>) =>
  command
    .argument("<rule>", "api.example.com, db.example.com:5432, *.example.com or 10.1.0.0/16:5432")
    .option("--function <name>", "for this function only");

function checkRule(body: { action: "allow" | "deny"; rule: string }): void {
  const { error } = ownTextSchema.safeParse(body);
  if (error !== undefined)
    throw usage(`${body.rule} is no rule: ${error.issues[0]?.message ?? ""}.`, `fnctl egress ${body.action} api.example.com`);
}

async function findRule(session: Session, rule: string, name: string | null) {
  const api = await session.api();
  const { items } = await api.json(listSchema, "GET", PATH);
  const found = items.find((item) => item.rule === rule.toLowerCase() && item.function === name);
  if (found !== undefined) return { api, found };
  throw new CliError("NOT_FOUND", `There is no rule ${rule} for ${scopeOf({ function: name })}.`, { next: "fnctl egress ls" });
}
