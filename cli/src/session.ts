// Everything a command uses: its process, the global flags, and the ways to print.
import type { Command } from "commander";
import { createApiClient, type ApiClient } from "./api/client.ts";
import type { CliIo } from "./cli-io.ts";
import { findConnection, type Connection } from "./settings/connection.ts";
import { printableJson } from "./terminal/printable.ts";
import { colourWanted, createStyle, type Style } from "./terminal/style.ts";

export interface GlobalFlags {
  json?: boolean;
  yes?: boolean;
  dryRun?: boolean;
  url?: string;
  context?: string;
}

export interface Session {
  io: CliIo;
  flags: GlobalFlags;
  json: boolean;
  connection(): Promise<Connection>;
  api(): Promise<ApiClient>;
  /** The result, for stdout: the document with `--json`, the text otherwise. */
  result(document: unknown, text: string): void;
  /** Progress and remarks, for stderr. */
  note(text: string): void;
  style: Style;
}

export function createSession(io: CliIo, flags: GlobalFlags): Session {
  const json = flags.json === true;
  const connection = () => findConnection(io, flags);
  return {
    io,
    flags,
    json,
    connection,
    api: async () => createApiClient(await connection(), io.signal),
    result: (document, text) => void io.stdout.write(json ? `${printableJson(document, io.stdout.isTTY === true ? 2 : 0)}\n` : text),
    note: (text) => void io.stderr.write(`${text}\n`),
    style: createStyle(colourWanted(io.env, io.stderr)),
  };
}

/** Adds the flags that every command has; returns it for chaining. */
function withGlobals(command: Command): Command {
  return command
    .option("--json", "print JSON for programs")
    .option("-y, --yes", "do not ask")
    .option("--dry-run", "say what would be done, and do nothing")
    .option("--url <url>", "address of the platform (FNCTL_URL)")
    .option("--context <name>", "context of the configuration (FNCTL_CONTEXT)");
}

export type Register = (program: Command, io: CliIo) => void;

/** A new command with the global flags. */
export const addCommand = (program: Command, usage: string, summary: string): Command =>
  withGlobals(program.command(usage).description(summary));
