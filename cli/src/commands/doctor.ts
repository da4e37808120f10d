// Looks for common problems, and names the command that fixes each.
import { whoamiSchema } from "@fnctl/control-plane/contract/resources";
import { CliError } from "../errors/cli-error.ts";
import { exitCodeOf } from "../errors/exit-codes.ts";
import { nextCommand } from "../errors/hints.ts";
import { toCliError } from "../errors/report.ts";
import { loadProject } from "../project/load-project.ts";
import { registerDoctorCluster } from "./doctor-cluster.ts";
import { addCommand, createSession, type GlobalFlags, type Register, type Session } from "../session.ts";
import { configPath, openBits } from "../settings/config-file.ts";
import { printable } from "../terminal/printable.ts";

interface Finding {
  check: string;
  state: "ok" | "skipped" | "failed";
  detail: string;
  next?: string;
  exitCode?: number;
}
const OLDEST_NODE = 20;
const SKEW_MS = 60_000;

export const doctor: Register = (program, io) => {
  const command = addCommand(program, "doctor", "check the set-up: Node, configuration, platform, token, clock, fnctl.yaml");
  registerDoctorCluster(command, io);
  command.action(async (flags: GlobalFlags) => {
    const session = createSession(io, flags);
    const findings = [
      await checked("node", node),
      await checked("configuration", () => configuration(session)),
      ...(await platform(session)),
      await checked("fnctl.yaml", () => project(session)),
    ];
    session.result({ findings }, findings.map((finding) => line(session, finding)).join(""));
    const failed = findings.filter((finding) => finding.state === "failed");
    if (failed[0] === undefined) return;
    throw new CliError("UNHEALTHY", `${failed.map((finding) => finding.check).join(", ")}: not in order.`, {
      next: failed[0].next,
      exitCode: failed[0].exitCode,
    });
  });
};

async function checked(check: string, work: () => Promise<string> | string): Promise<Finding> {
  try {
    const detail = await work();
    return detail.startsWith("none") ? { check, state: "skipped", detail } : { check, state: "ok", detail };
  } catch (error) {
    const known = toCliError(error);
    const detail = [
      known.message,
      ...(known.options.mistakes ?? []).map((entry) => `${entry.file}:${entry.line}:${entry.column} ${entry.message}`),
    ].join(" ");
    return { check, state: "failed", detail, next: known.options.next ?? nextCommand(known.code), exitCode: exitCodeOf(known) };
  }
}

function node(): string {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE)
    throw new CliError("USAGE", `Node ${process.versions.node} is too old; ${OLDEST_NODE} or newer is needed.`, {
      next: "install a newer Node.js",
    });
  return process.versions.node;
}

async function configuration({ io, connection }: Session): Promise<string> {
  const file = configPath(io);
  const bits = await openBits(file);
  if (bits !== 0)
    throw new CliError("INVALID_CONFIG", `${file} may be read by others (mode has ${bits.toString(8).padStart(3, "0")}).`, {
      next: `chmod 600 ${file}`,
    });
  const { url, context } = await connection();
  return `${url}${context === undefined ? "" : ` (context ${context})`}, ${file}`;
}

/** Checks reachability, token and clock with one request. */
async function platform(session: Session): Promise<Finding[]> {
  let response: Response | undefined;
  const reach = await checked("platform", async () => {
    const { url } = await session.connection();
    const begun = performance.now();
    response = await fetch(`${url}/v1/healthz`, {
      signal: AbortSignal.any([session.io.signal, AbortSignal.timeout(10_000)]),
      redirect: "error",
    }).catch((cause: unknown) => {
      throw new CliError("UNREACHABLE", `${url} does not answer: ${(cause as { cause?: Error }).cause?.message ?? String(cause)}`, {
        next: "check the address, the network, and that the platform runs",
      });
    });
    if (!response.ok)
      throw new CliError("UNREACHABLE", `${url}/v1/healthz answered ${response.status}.`, {
        next: "check that the address is a fnctl platform",
      });
    return `answers in ${(performance.now() - begun).toFixed(0)} ms`;
  });
  if (reach.state === "failed") return [reach];
  return [reach, await checked("token", () => token(session)), await checked("clock", () => clock(response))];
}

async function token(session: Session): Promise<string> {
  const who = await (await session.api()).json(whoamiSchema, "GET", "/v1/whoami");
  return `${who.tenant?.slug ?? "operator"}, ${who.token.scopes.join(", ")}, ${who.token.expiresAt === null ? "never expires" : `until ${who.token.expiresAt}`}`;
}

function clock(response: Response | undefined): string {
  const theirs = Date.parse(response?.headers.get("date") ?? "");
  if (Number.isNaN(theirs)) return "none: the platform sent no date";
  const skew = Math.abs(Date.now() - theirs);
  if (skew > SKEW_MS)
    throw new CliError("USAGE", `This machine's clock and the platform's differ by ${Math.round(skew / 1000)} s.`, {
      next: "set the clock, e.g. with NTP",
    });
  return `within ${Math.max(1, Math.round(skew / 1000))} s of the platform's`;
}

async function project({ io }: Session): Promise<string> {
  const found = await loadProject(io.cwd).catch((error: unknown) => {
    if (error instanceof CliError && error.options.next === "fnctl init") return undefined;
    throw error;
  });
  return found === undefined ? "none in this folder" : `valid: ${found.functions.map((entry) => entry.name).join(", ")}`;
}

function line({ style }: Session, { check, state, detail, next }: Finding): string {
  const mark = { ok: style.green("✓"), skipped: style.dim("-"), failed: style.red("✗") }[state];
  return `${mark} ${check.padEnd(13)}  ${printable(detail)}${next === undefined ? "" : `\n  ${"".padEnd(13)}  next: ${printable(next)}`}\n`;
}
