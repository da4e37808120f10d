// What is told of a target that rules do not allow: which rule would.
import type { Socket } from "node:net";
import { ruleFor, type Judgement } from "@fnctl/control-plane/contract/egress-rules";
import { isCallName } from "@fnctl/control-plane/contract/function-calls";
import { PROBLEM_TYPE, PlatformError, toProblem, type Problem } from "@fnctl/control-plane/contract/errors";
import { EGRESS_LIMITS } from "./limits.ts";

/** The problem as a sandbox is told it; `facts` are the operator's. Nobody shows a token here, so FORBIDDEN has a title of its own. */
export function egressProblem(error: unknown): { problem: Omit<Problem, "facts">; facts: Problem["facts"] } {
  const { facts, ...problem } = toProblem(error);
  return { facts, problem: problem.code === "FORBIDDEN" ? { ...problem, title: "No rule allows this" } : problem };
}

/**
 * What marks an answer as this proxy's own (RFC 9209), by which names.pl knows what to tell the function's log. Servers' own `proxy-` fields are
 * taken off their answers, and in a tunnel nobody looks.
 */
export const PROXY_STATUS = { name: "proxy-status", value: "fnctl; error=http_request_denied" } as const;

/** Told with 407 (RFC 9110 section 11.7.1). */
export const PROXY_AUTHENTICATE = { "proxy-authenticate": 'Basic realm="fnctl"' };

/** A problem as an answer of HTTP/1.1, on a connection whose request Node has handed over whole. */
export function problemAnswer(problem: Omit<Problem, "facts">): string {
  const body = JSON.stringify(problem);
  const fields = {
    "content-type": PROBLEM_TYPE,
    "content-length": String(Buffer.byteLength(body)),
    [PROXY_STATUS.name]: PROXY_STATUS.value,
    ...(problem.status === 407 ? PROXY_AUTHENTICATE : {}),
    connection: "close",
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${problem.status} ${problem.title}\r\n${lines.join("")}\r\n${body}`;
}

/**
 * Tells connections that are too many so, whatever they are going to ask: it is ended when that has come, because a client whose writing fails may
 * not read any more. So few linger that they cost nobody anything; what is beyond them is closed without a word.
 */
export function createTurnAway(): (socket: Socket, reason: string) => void {
  let lingering = 0;
  return (socket, reason) => {
    if (lingering >= EGRESS_LIMITS.turnedAway) return void socket.destroy();
    lingering += 1;
    const late = setTimeout(() => socket.destroy(), EGRESS_LIMITS.refusalMs);
    socket.once("close", () => {
      lingering -= 1;
      clearTimeout(late);
    });
    const { problem } = egressProblem(new PlatformError("RATE_LIMITED", reason, { hint: "Close some, or keep fewer open." }));
    socket.on("error", () => undefined).end(problemAnswer(problem));
  };
}

/** `port` undefined: a name alone was asked for. */
export function refusalOf(judgement: Exclude<Judgement, "allowed">, host: string, port: number | undefined): PlatformError {
  const target = port === undefined ? host : `${host}:${port}`;
  const rule = ruleFor(host, port ?? 443);
  if (judgement === "denied")
    return new PlatformError("FORBIDDEN", `${target} is denied by a rule of the tenant's own.`, { hint: "See `fnctl egress ls`." });
  if (isCallName(host))
    return new PlatformError("FORBIDDEN", `${target} is not allowed.`, {
      hint: `To allow it, add \`${rule}\` to \`egress.allow\` in fnctl.yaml.`,
    });
  const whichPort = port === undefined ? ", or with its port if that is not 443" : "";
  return new PlatformError("FORBIDDEN", `${target} is not allowed.`, {
    hint: `To allow it, add it to \`egress.allow\` in fnctl.yaml (\`${rule}\`${whichPort}), or now: fnctl egress allow ${rule.startsWith("[") ? `'${rule}'` : rule}`,
  });
}
