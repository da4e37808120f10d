// What functions reached or were refused, and the rules that would allow the latter.
import { ownTextSchema, ruleFor, splitTarget } from "@fnctl/control-plane/contract/egress-rules";
import { egressConnectionSchema, page } from "@fnctl/control-plane/contract/resources";
import type { Command } from "commander";
import type { z } from "zod";
import type { ApiClient } from "../api/client.ts";
import type { CliIo } from "../cli-io.ts";
import { setRule } from "../egress/set-rule.ts";
import { usage } from "../errors/cli-error.ts";
import { addCommand, createSession, type GlobalFlags } from "../session.ts";
import { bytes } from "../terminal/amounts.ts";
import { printable } from "../terminal/printable.ts";
import { table } from "../terminal/table.ts";

type Connection = z.infer<typeof egressConnectionSchema>;
const MOST = 1_000;
const PAGE = 200;

async function read(api: ApiClient, query: Record<string, string>, most: number): Promise<Connection[]> {
  const all: Connection[] = [];
  for (let cursor: string | null = ""; cursor !== null && all.length < most;) {
    const limit = String(Math.min(PAGE, most - all.length));
    const search = new URLSearchParams({ ...query, limit, ...(cursor === "" ? {} : { cursor }) });
    const { items, nextCursor } = await api.json(page(egressConnectionSchema), "GET", `/v1/egress/log?${search.toString()}`);
    all.push(...items);
    cursor = nextCursor;
  }
  return all;
}
const ofFunction = (name: string | undefined): Record<string, string> => (name === undefined ? {} : { function: name });

export function addEgressLog(group: Command, io: CliIo): void {
  addCommand(group, "log", "print the last connections of functions, and what they were refused")
    .argument("[name]", "the function; absent: all")
    .option("--refused", "only what was refused")
    .option("-n, --limit <count>", "at most so many", "50")
    .action(async (name: string | undefined, flags: GlobalFlags & { refused?: boolean; limit: string }) => {
      if (!/^[1-9]\d{0,3}$/.test(flags.limit) || Number(flags.limit) > MOST)
        throw usage(`--limit is from 1 to ${MOST}, not ${flags.limit}.`, "fnctl egress log --limit 50");
      const session = createSession(io, flags);
      const query = { ...ofFunction(name), ...(flags.refused === true ? { refused: "true" } : {}) };
      const items = (await read(await session.api(), query, Number(flags.limit))).toReversed();
      if (items.length === 0) session.note("nothing was reached or refused yet; a connection is seen here when it has ended");
      session.result(
        { items },
        items.length === 0 ? "" : table(["TIME", "FUNCTION", "TARGET", "ADDRESS", "UP", "DOWN", "OUTCOME"], items.map(toRow)),
      );
    });
}
const toRow = (item: Connection): string[] => [
  item.at,
  `${item.function}:${item.version}`,
  printable(item.target),
  item.address === "" ? "-" : item.address,
  bytes(item.bytesUp),
  bytes(item.bytesDown),
  printable(item.notLogged === 0 ? item.outcome : `${item.outcome} (and ${item.notLogged} before it)`),
];

interface Suggestion {
  function: string;
  rule: string;
  times: number;
  last: string;
}
const hostOf = (target: string): string => splitTarget(target).host;
const IS_DENIED = / is denied by a rule /;
/** What only lacks a rule: not what the tenant refuses itself, and no address that rules cannot open. */
const LACKS_A_RULE = / is not allowed\.$/;

/** Rules that would allow what was refused, by function. A name alone is left out where its port is known. */
export function suggestRules(refused: readonly Connection[]): Suggestion[] {
  const found = new Map<string, Suggestion>();
  for (const { target, outcome, function: name, at, notLogged } of refused) {
    const { host, port } = splitTarget(target);
    const rule = ruleFor(host, port === undefined ? 443 : Number(port));
    if (!LACKS_A_RULE.test(outcome) || !ownTextSchema.safeParse({ action: "allow", rule }).success) continue;
    const isDenied = refused.some((other) => other.function === name && hostOf(other.target) === host && IS_DENIED.test(other.outcome));
    if (isDenied) continue;
    if (port === undefined && refused.some((other) => other.function === name && other.target.startsWith(`${host}:`))) continue;
    const known = found.get(`${name} ${rule}`) ?? { function: name, rule, times: 0, last: at };
    found.set(`${name} ${rule}`, { ...known, times: known.times + 1 + notLogged, last: at > known.last ? at : known.last });
  }
  return [...found.values()].toSorted((a, b) => a.function.localeCompare(b.function) || a.rule.localeCompare(b.rule));
}

export function addEgressSuggest(group: Command, io: CliIo): void {
  addCommand(group, "suggest", "print the rules that would allow what functions were refused")
    .argument("[name]", "the function; absent: all")
    .option("--apply", "allow them now, as the tenant's own rules for these functions")
    .action(async (name: string | undefined, flags: GlobalFlags & { apply?: boolean }) => {
      const session = createSession(io, flags);
      const api = await session.api();
      const items = suggestRules(await read(api, { ...ofFunction(name), refused: "true" }, MOST));
      if (items.length === 0) session.note("nothing was refused that a rule would allow");
      const rows = items.map((item) => [item.function, item.rule, String(item.times), item.last]);
      session.result({ items }, items.length === 0 ? "" : table(["FUNCTION", "RULE", "TIMES", "LAST"], rows));
      if (items.length > 0 && flags.apply !== true)
        session.note("look at each; then add it to `egress.allow` in fnctl.yaml, or use --apply");
      if (flags.apply !== true || flags.dryRun === true) return;
      for (const { rule, function: of } of items) await setRule(session, { action: "allow", rule, function: of });
    });
}
