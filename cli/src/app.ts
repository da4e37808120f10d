// Registers every command of the program, and turns any error into output and an exit code.
import { Command, CommanderError } from "commander";
import type { CliIo } from "./cli-io.ts";
import { completion } from "./commands/completion.ts";
import { deploy } from "./commands/deploy.ts";
import { describe } from "./commands/describe.ts";
import { doctor } from "./commands/doctor.ts";
import { egress } from "./commands/egress.ts";
import { init } from "./commands/init.ts";
import { invoke } from "./commands/invoke.ts";
import { login } from "./commands/login.ts";
import { logout } from "./commands/logout.ts";
import { logs } from "./commands/logs.ts";
import { ls } from "./commands/ls.ts";
import { names } from "./commands/names.ts";
import { rm } from "./commands/rm.ts";
import { rollback } from "./commands/rollback.ts";
import { schema } from "./commands/schema.ts";
import { tokens } from "./commands/tokens.ts";
import { versions } from "./commands/versions.ts";
import { whoami } from "./commands/whoami.ts";
import { CliError } from "./errors/cli-error.ts";
import { EXIT, exitCodeOf } from "./errors/exit-codes.ts";
import { errorDocument, renderError, toCliError } from "./errors/report.ts";
import { nearest } from "./project/nearest.ts";
import { colourWanted, createStyle } from "./terminal/style.ts";
import { CLI_VERSION } from "./version.ts";

const COMMANDS = [
  init,
  login,
  logout,
  whoami,
  deploy,
  invoke,
  ls,
  describe,
  logs,
  versions,
  rollback,
  rm,
  egress,
  doctor,
  tokens,
  schema,
  completion,
  names,
];
const AFTER_HELP = `
Settings: flag > FNCTL_URL, FNCTL_TOKEN, FNCTL_CONTEXT, FNCTL_CONFIG > fnctl.yaml > context (~/.config/fnctl/config.yaml)
Exit codes: 0 ok, 1 unexpected, 2 usage or configuration, 3 not signed in or not allowed, 4 not found, 5 quota,
            6 build failed, 7 roll-out failed, 8 the function answered >= 400 (invoke --fail), 130 interrupted`;

function createProgram(io: CliIo): Command {
  const program = new Command("fnctl");
  program.description("Deploy and run functions on your own platform.").version(CLI_VERSION).addHelpText("after", AFTER_HELP);
  program.showSuggestionAfterError(false).exitOverride().enablePositionalOptions();
  program.configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    outputError: () => undefined,
  });
  for (const register of COMMANDS) register(program, io);
  for (const command of all(program)) command.exitOverride().showSuggestionAfterError(false).copyInheritedSettings(program);
  return program;
}

const all = (command: Command): Command[] => command.commands.flatMap((child) => [child, ...all(child)]);

/** Runs one command line to its exit code. Never throws. */
export async function runCli(io: CliIo): Promise<number> {
  const program = createProgram(io);
  try {
    if (io.argv.length === 0) program.outputHelp();
    else await program.parseAsync([...io.argv], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    return report(
      io,
      error instanceof CommanderError ? usageError(error, program, io.argv) : io.signal.aborted ? interrupted(error) : toCliError(error),
    );
  }
}

const interrupted = (error: unknown): CliError =>
  error instanceof CliError && error.code === "INTERRUPTED" ? error : new CliError("INTERRUPTED", "Interrupted.");

function report(io: CliIo, error: CliError): number {
  io.stderr.write(renderError(error, createStyle(colourWanted(io.env, io.stderr))));
  if (io.argv.includes("--json") && error.code !== "INTERRUPTED") io.stdout.write(`${JSON.stringify(errorDocument(error))}\n`);
  return exitCodeOf(error);
}

function usageError(error: CommanderError, program: Command, argv: readonly string[]): CliError {
  const message = `${error.message.replace(/^error: /, "").replace(/\n.*/s, "")}.`;
  const path = [program];
  for (const word of argv) {
    const child = path.at(-1)?.commands.find((command) => command.name() === word);
    if (child !== undefined) path.push(child);
  }
  const command = path.map((step) => step.name()).join(" ");
  const owner = path.at(-1) ?? program;
  const wrong = /'([^']+)'/.exec(error.message)?.[1] ?? "";
  if (error.code === "commander.unknownCommand")
    return suggest(
      message,
      command,
      wrong,
      owner.commands.filter((entry) => !entry.name().startsWith("_")).map((entry) => entry.name()),
    );
  if (error.code === "commander.unknownOption")
    return suggest(
      message,
      command,
      wrong,
      owner.options.flatMap((option) => (option.long === undefined ? [] : [option.long])),
    );
  return new CliError("USAGE", error.code === "commander.help" ? "Which subcommand?" : message, { next: `${command} --help` });
}

function suggest(message: string, command: string, wrong: string, candidates: readonly string[]): CliError {
  const near = nearest(wrong, candidates);
  return new CliError("USAGE", near === undefined ? message : `${message.slice(0, -1)}; did you mean ${near}?`, {
    next: near === undefined ? `${command} --help` : `${command} ${near}`,
  });
}
