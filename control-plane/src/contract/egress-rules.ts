// What a function may reach, as its owner writes it in `fnctl.yaml`, and as the egress proxy applies it.
import { z } from "zod";
import { ADDRESS_PATTERN, hostOfAddress, isAddressHost, isAddressRule, rangeHolds } from "./address-rules.ts";
import { cidrSchema } from "./cidr.ts";
import { LIMITS } from "./limits.ts";
import { CALL_PORT, callName, calledFunction, isCallName } from "./function-calls.ts";
import { slugSchema, uuidSchema } from "./names.ts";

/** Lower-case LDH labels (RFC 5890), underscores allowed (RFC 2782); no trailing dot, userinfo, brackets or percent signs. */
const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?";
const NAME = `${LABEL}(?:\\.${LABEL})*`;
const HOST_NAME = new RegExp(`^(?=.{1,253}$)${NAME}$`);
/** The WHATWG "ends in a number" rule: 127.1, 2852039166, 0x7f.1 and 0177.0.0.1 are addresses to many resolvers. */
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;
/** Names that mean the sandbox itself (RFC 6761), whatever a resolver says. */
const LOCAL = /(?:^|\.)(?:localhost|localdomain)$/;

/** Whether it is a plain host name in lower case, and nothing that some resolver takes for an address. */
export const isHostName = (text: string): boolean => HOST_NAME.test(text) && !ENDS_IN_NUMBER.test(text);

const DEFAULT_PORTS = [443];
const PUBLIC_PORTS = [80, 443];
/** Stands for every name. */
const ANY_HOST = "*";
const WRITE =
  "write a host name, an address or a range with an optional port: api.example.com, db.example.com:5432, *.example.com, 10.1.2.3, 10.1.0.0/16:5432 or [2001:db8::1]";
const PORT = "a port is a number from 1 to 65535";

const RULE_HOST = `(?:(?:\\*\\.)?${NAME.replaceAll("a-z", "A-Za-z")}|${ADDRESS_PATTERN})`;

const portSchema = z.int(PORT).min(1, PORT).max(65_535, PORT);
const hostSchema = z
  .string()
  .max(255)
  .regex(new RegExp(`^${RULE_HOST}$`), { error: WRITE, abort: true })
  .refine((host) => isPattern(host.toLowerCase()), WRITE);
const textSchema = z
  .string(WRITE)
  .max(261)
  .regex(new RegExp(`^${RULE_HOST}(?::[0-9]{1,5})?$`), { error: WRITE, abort: true })
  .refine((text) => {
    const { host, ports } = readText(text);
    return isPattern(host) && ports.every((port) => port >= 1 && port <= 65_535);
  }, WRITE);

const ruleSchema = z.union(
  [
    textSchema,
    z.strictObject({ host: hostSchema, ports: z.array(portSchema).min(1).max(LIMITS.egressPorts) }),
    z.strictObject({ function: slugSchema }),
  ],
  WRITE,
);

/** Absent: nothing. `public`: every public address, on the ports of the web. */
export const egressSchema = z.union(
  [z.literal("public"), z.strictObject({ allow: z.array(ruleSchema).max(LIMITS.egressRules) })],
  "write `public`, or `allow:` with a list of host names",
);
export type EgressConfig = z.infer<typeof egressSchema>;

/** One rule as it is applied. `host`: a name, `*.` and a name (exactly one label more), `*` (every name), an address, or a range of them. */
export const allowedSchema = z.strictObject({
  host: z.string().max(255),
  ports: z.array(portSchema).min(1).max(LIMITS.egressPorts),
});
export type Allowed = z.infer<typeof allowedSchema>;

/** The rules that a configuration stands for, in its order. */
export function allowedBy(egress: EgressConfig | undefined): Allowed[] {
  if (egress === undefined) return [];
  if (egress === "public") return [{ host: ANY_HOST, ports: PUBLIC_PORTS }];
  return egress.allow.map((rule) => {
    if (typeof rule === "string") return readText(rule);
    return "function" in rule
      ? { host: callName(rule.function), ports: [CALL_PORT] }
      : { host: rule.host.toLowerCase(), ports: rule.ports };
  });
}

/**
 * `*.example.com` stands for exactly one label (SECURITY B6). `host` is in lower case. An address is never meant by a rule for names, nor the other way
 * round; `*` means both.
 */
export function hostMatches(pattern: string, host: string): boolean {
  if (isAddressHost(host)) return pattern === ANY_HOST || rangeHolds(pattern, host);
  if (pattern === ANY_HOST) return host.includes(".") && !isCallName(host); // a single label is a name of somebody's own network
  if (!pattern.startsWith("*.")) return pattern === host;
  const dot = host.indexOf(".");
  return dot > 0 && host.slice(dot) === pattern.slice(1);
}

/** What a tenant says for one of its functions, or for all (null), beside the rules of their versions. No ports: every port. */
export const ownRuleSchema = z.object({
  action: z.enum(["allow", "deny"]),
  host: z.string().max(255),
  ports: z.array(portSchema).max(LIMITS.egressPorts),
  functionId: uuidSchema.nullable(),
});
export type OwnRule = z.infer<typeof ownRuleSchema>;

/** Private addresses that names may lead to, on these ports: `10.1.0.0/16`, or one address. */
export const privateRangeSchema = z.strictObject({
  addresses: z
    .string()
    .max(50)
    .refine((text) => cidrSchema.safeParse(text).success, "write an address or a range, such as 10.1.0.0/16"),
  ports: z.array(portSchema).min(1).max(LIMITS.egressPorts),
});
export type PrivateRange = z.infer<typeof privateRangeSchema>;

/** What applies to one function: the rules of its version, and its tenant's own. */
export interface Effective {
  allow: readonly Allowed[];
  own: readonly OwnRule[];
  functionId: string | null;
}

/** A refusal by the tenant's own rules goes before everything that allows, wherever it stands. */
export type Judgement = "allowed" | "denied" | "no rule";
export function judgeTarget(rules: Effective, host: string, port: number): Judgement {
  const own = rules.own.filter((rule) => matches(rule, rules.functionId, host) && (rule.ports.length === 0 || rule.ports.includes(port)));
  if (own.some(({ action }) => action === "deny")) return "denied";
  const allowed = own.length > 0 || rules.allow.some((rule) => rule.ports.includes(port) && hostMatches(rule.host, host));
  return allowed ? "allowed" : "no rule";
}

/** Whether a target is allowed by a rule that names it, and not only because everything public is: a private address needs that. */
export const isNamed = (rules: Effective, host: string, port: number): boolean =>
  judgeTarget({ ...rules, allow: rules.allow.filter((rule) => rule.host !== ANY_HOST) }, host, port) === "allowed";

/** The ports on which a name may be reached; none: it may not be reached. */
export function portsOf(rules: Effective, host: string): number[] {
  const own = rules.own.filter((rule) => matches(rule, rules.functionId, host));
  const denies = own.filter(({ action }) => action === "deny");
  if (denies.some(({ ports }) => ports.length === 0)) return [];
  const denied = new Set(denies.flatMap(({ ports }) => ports));
  const allows = [...rules.allow.filter((rule) => hostMatches(rule.host, host)), ...own.filter(({ action }) => action === "allow")];
  return [...new Set(allows.flatMap(({ ports }) => ports))].filter((port) => !denied.has(port));
}
/** Whether the tenant itself refuses an address, whatever name leads there. */
export function isAddressDenied(rules: Effective, address: string, port: number): boolean {
  const host = hostOfAddress(address);
  return rules.own.some(
    (rule) =>
      rule.action === "deny" &&
      isAddressRule(rule.host) &&
      (rule.ports.length === 0 || rule.ports.includes(port)) &&
      matches(rule, rules.functionId, host),
  );
}
/** Whether the tenant itself refuses a name, on some port. */
export const isDenied = (rules: Effective, host: string): boolean =>
  rules.own.some((rule) => rule.action === "deny" && matches(rule, rules.functionId, host));
const matches = (rule: OwnRule, functionId: string | null, host: string): boolean =>
  (rule.functionId === null || rule.functionId === functionId) && (rule.host === ANY_HOST || hostMatches(rule.host, host));

/** A rule of a tenant's own as it is written: as in `fnctl.yaml`, and for a refusal also `*`; a refusal without a port is of every port. */
export const ownTextSchema = z
  .object({ action: z.enum(["allow", "deny"]), rule: z.string().max(261) })
  .refine(({ action, rule }) => (action === "deny" && rule === ANY_HOST) || textSchema.safeParse(rule).success, {
    error: WRITE,
    path: ["rule"],
  })
  .transform(({ action, rule }): Pick<OwnRule, "action" | "host" | "ports"> => {
    const { host, port } = splitTarget(rule);
    return { action, host: host.toLowerCase(), ports: port === undefined && action === "deny" ? [] : readText(rule).ports };
  });
/** The text that `ownTextSchema` reads as this rule. */
export const ownText = ({ action, host, ports }: Pick<OwnRule, "action" | "host" | "ports">): string =>
  ports[0] === undefined || (action === "allow" && ports[0] === DEFAULT_PORTS[0]) ? host : `${host}:${ports[0]}`;

/** The rule that would allow a target, as one writes it. */
export function ruleFor(host: string, port: number): string {
  const name = calledFunction(host);
  if (name !== undefined) return `{ function: ${name} }`;
  return port === 443 ? host : `${host}:${port}`;
}

/** `host`, `host:port`, `[address]` or `[address]:port`, in its parts. */
export function splitTarget(text: string): { host: string; port: string | undefined } {
  const [, host = text, port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(text) ?? [];
  return { host, port };
}
function readText(text: string): Allowed {
  const { host, port } = splitTarget(text);
  return { host: host.toLowerCase(), ports: port === undefined ? DEFAULT_PORTS : [Number(port)] };
}

/** A wildcard needs a name of two labels behind it: `*.com` is everybody's. */
function isPattern(host: string): boolean {
  if (isAddressRule(host)) return true;
  const wildcard = host.startsWith("*.");
  const name = wildcard ? host.slice(2) : host;
  return isHostName(name) && !LOCAL.test(name) && !isCallName(name) && (!wildcard || name.includes("."));
}
