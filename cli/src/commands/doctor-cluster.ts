// `fnctl doctor cluster`: lets an operator check anew, from inside real sandboxes, whether the cluster's network isolates them and whether
// each isolation class keeps its promises.
import type { Command } from "commander";
import { conditionsSchema, type Condition, type Fact, type ProbeResult } from "@fnctl/control-plane/contract/conditions";
import type { CliIo } from "../cli-io.ts";
import { CliError } from "../errors/cli-error.ts";
import { addCommand, createSession, type GlobalFlags } from "../session.ts";
import { printable } from "../terminal/printable.ts";
import { table } from "../terminal/table.ts";

export function registerDoctorCluster(doctor: Command, io: CliIo): void {
  addCommand(doctor, "cluster", "check that the cluster's network keeps sandboxes in, and what they are (operator's token)").action(
    async (_flags: GlobalFlags, command: Command) => {
      const session = createSession(io, command.optsWithGlobals<GlobalFlags>());
      session.note("tenants that are nobody's try to reach what no sandbox may, and look at themselves; this takes some seconds");
      const { conditions } = await (await session.api()).json(conditionsSchema, "POST", "/v1/conditions/check");
      session.result({ conditions }, conditions.map(describeCondition).join("\n"));
      if (conditions.length === 0) return session.note("This platform runs on one machine: its sandboxes have no network device.");
      const bad = conditions.filter(({ status }) => status !== "True");
      if (bad.length > 0) throw new CliError("UNHEALTHY", bad.map(({ message }) => message).join(" "), { next: whatToDo(bad) });
    },
  );
}

const whatToDo = (bad: readonly Condition[]): string =>
  bad.some(({ type }) => type === "NetworkIsolationVerified")
    ? "look at the cluster's NetworkPolicies and whether its CNI enforces them, then run this again"
    : "set up the nodes of the class as the cluster page of the manual says, then run this again";

/** As text for a terminal. */
export function describeCondition({ type, isolation, status, at, message, probes, facts = [] }: Condition): string {
  const head = `${type}${isolation === undefined ? "" : ` ${isolation}`}  ${status}  ${at}\n${printable(message)}\n`;
  const tables = [
    probes.length === 0 ? "" : table(["TARGET", "ADDRESS", "SANDBOX", "PLATFORM", ""], probes.map(probeRow)),
    facts.length === 0 ? "" : table(["FACT", "FOUND", "PROMISED", ""], facts.map(factRow)),
  ];
  return [head, ...tables.filter(Boolean)].join("\n");
}

const probeRow = (probe: ProbeResult): string[] => [
  probe.target,
  probe.address,
  probe.fromSandbox,
  probe.fromPlatform ?? "-",
  verdict(probe),
];
const factRow = ({ fact, found, promised, holds }: Fact): string[] => [fact, found, promised, holds ? "holds" : "NOT SO"];

function verdict({ allowed, fromSandbox, fromPlatform }: ProbeResult): string {
  if (allowed) return fromSandbox === "open" ? "allowed" : "NOT REACHED";
  if (fromSandbox === "open") return "REACHED";
  return fromPlatform === "open" ? "closed, and there" : "closed";
}
