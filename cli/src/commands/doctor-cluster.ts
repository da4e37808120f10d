// `fnctl doctor cluster`: whether the cluster's network keeps sandboxes in, found out anew from inside real ones; for operators.
import type { Command } from "commander";
import { conditionsSchema, type Condition, type ProbeResult } from "@fnctl/control-plane/contract/conditions";
import type { CliIo } from "../cli-io.ts";
import { CliError } from "../errors/cli-error.ts";
import { addCommand, createSession, type GlobalFlags } from "../session.ts";
import { printable } from "../terminal/printable.ts";
import { table } from "../terminal/table.ts";

export function registerDoctorCluster(doctor: Command, io: CliIo): void {
  addCommand(doctor, "cluster", "check that the cluster's network keeps sandboxes in (operator's token)").action(
    async (_flags: GlobalFlags, command: Command) => {
      const session = createSession(io, command.optsWithGlobals<GlobalFlags>());
      session.note("two tenants that are nobody's try to reach what no sandbox may; this takes some seconds");
      const { conditions } = await (await session.api()).json(conditionsSchema, "POST", "/v1/conditions/check");
      session.result({ conditions }, conditions.map(describe).join("\n"));
      if (conditions.length === 0) return session.note("This platform runs on one machine: its sandboxes have no network device.");
      const bad = conditions.find(({ status }) => status !== "True");
      if (bad !== undefined)
        throw new CliError("UNHEALTHY", bad.message, {
          next: "look at the cluster's NetworkPolicies and whether its CNI enforces them, then run this again",
        });
    },
  );
}

function describe({ type, status, at, message, probes }: Condition): string {
  const rows = probes.map((probe) => [probe.target, probe.address, probe.fromSandbox, probe.fromPlatform ?? "-", verdict(probe)]);
  const head = `${type}  ${status}  ${at}\n${printable(message)}\n`;
  return rows.length === 0 ? head : `${head}\n${table(["TARGET", "ADDRESS", "SANDBOX", "PLATFORM", ""], rows)}`;
}

function verdict({ allowed, fromSandbox, fromPlatform }: ProbeResult): string {
  if (allowed) return fromSandbox === "open" ? "allowed" : "NOT REACHED";
  if (fromSandbox === "open") return "REACHED";
  return fromPlatform === "open" ? "closed, and there" : "closed";
}
