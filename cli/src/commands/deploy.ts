import path from "node:path";
import type { Command } from "commander";
import { deployFunction, validate } from "../deploy/deploy-function.ts";
import { createJsonReporter } from "../deploy/json-reporter.ts";
import type { DeployResult, Reporter } from "../deploy/reporter.ts";
import { createTerminalReporter } from "../deploy/terminal-reporter.ts";
import { CliError, usage } from "../errors/cli-error.ts";
import { loadProject, selectFunctions, type Project } from "../project/load-project.ts";
import type { ProjectFunction } from "../project/read-project.ts";
import { parseDuration } from "../project/units.ts";
import { addCommand, createSession, type GlobalFlags, type Register, type Session } from "../session.ts";

interface Flags extends GlobalFlags {
  file?: string;
  promote: boolean;
  detach?: boolean;
  waitTimeout: string;
}

const PUBLIC =
  "  it may reach every public address on ports 80 and 443; name what it needs under `egress.allow` in fnctl.yaml to close the rest";

export const deploy: Register = (program, io) => {
  addCommand(program, "deploy", "build and publish the functions of fnctl.yaml; prints their addresses")
    .argument("[names...]", "functions of fnctl.yaml to deploy; all when none is named")
    .option("-f, --file <file>", "another fnctl.yaml")
    .option("--no-promote", "build the version, but do not serve it yet")
    .option("--detach", "do not wait for the build")
    .option("--wait-timeout <duration>", "stop waiting after this time; the build goes on", "15m")
    .action(async (names: string[], flags: Flags, _command: Command) => run(createSession(io, flags), names, flags));
};

async function run(session: Session, names: string[], flags: Flags): Promise<void> {
  const { io } = session;
  const waitMs = parseDuration(flags.waitTimeout);
  if (waitMs === undefined) throw usage(`--wait-timeout is not a duration: ${flags.waitTimeout}`, "fnctl deploy --wait-timeout 5m");
  const project = await loadProject(io.cwd, flags.file);
  const chosen = selectFunctions(project, names);
  const reporter = session.json ? createJsonReporter(io) : createTerminalReporter(io, chosen.length > 1);
  try {
    if (flags.dryRun === true) await dryRun(session, reporter, project, chosen);
    else await deployAll(session, reporter, project, chosen, { ...flags, waitMs });
  } finally {
    reporter.stop();
  }
}

async function deployAll(
  session: Session,
  reporter: Reporter,
  project: Project,
  chosen: readonly ProjectFunction[],
  flags: Flags & { waitMs: number },
): Promise<void> {
  const api = await session.api();
  const deadline = new AbortController();
  const timer = setTimeout(
    () => deadline.abort(new CliError("WAIT_TIMEOUT", `Not ready after ${flags.waitTimeout}; the build goes on.`)),
    flags.waitMs,
  );
  const signal = AbortSignal.any([session.io.signal, deadline.signal]);
  try {
    for (const entry of chosen) {
      const folder = path.resolve(project.root, entry.folder);
      const result: DeployResult = await deployFunction(entry, folder, {
        api,
        reporter,
        signal,
        promote: flags.promote,
        detach: flags.detach === true,
      });
      reporter.result(result);
      if (entry.config.egress === "public") session.note(PUBLIC);
      if (flags.detach === true) session.note(`  the build goes on; see: fnctl versions ${entry.name}`);
      else if (!flags.promote) session.note(`  built, not served; to serve it: fnctl rollback ${entry.name} ${result.version}`);
    }
  } finally {
    clearTimeout(timer);
  }
}

async function dryRun(session: Session, reporter: Reporter, project: Project, chosen: readonly ProjectFunction[]): Promise<void> {
  const plans = [];
  for (const entry of chosen) {
    reporter.begin(entry.name);
    const archive = await validate(reporter, path.resolve(project.root, entry.folder));
    plans.push({
      type: "plan",
      function: entry.name,
      config: entry.config,
      sourceDigest: archive.digest,
      archiveBytes: archive.bytes.length,
      files: archive.files.map((file) => file.name),
    });
  }
  for (const plan of plans) {
    session.result(plan, "");
    if (session.json) continue;
    session.note(`${plan.function}: ${plan.sourceDigest}`);
    for (const file of plan.files) session.note(`  ${file}`);
    if (plan.config.egress === "public") session.note(PUBLIC);
  }
  session.note("dry run: nothing was sent");
}
