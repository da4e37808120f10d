// Turns any thrown value into the text that the user reads and the exit code.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { printable, printableBlock } from "../terminal/printable.ts";
import type { Style } from "../terminal/style.ts";
import { CliError } from "./cli-error.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { nextCommand } from "./hints.ts";

export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof PlatformError) return new CliError(error.code, error.message, { hint: error.hint, facts: error.facts });
  const known = error instanceof Error ? error : new Error(String(error));
  const code = (known as NodeJS.ErrnoException).code;
  // The user can fix a file that cannot be read or written; any other error is a bug of the CLI.
  if (typeof code === "string" && "syscall" in known) return new CliError("USAGE", known.message);
  return new CliError("INTERNAL", `Unexpected: ${known.message}`, {
    cause: known,
    facts: known.stack === undefined ? undefined : { stack: known.stack },
  });
}

/** The text for stderr. All text that came from elsewhere is made printable. */
export function renderError(error: CliError, style: Style): string {
  const { mistakes = [], hint, requestId, next } = error.options;
  // Ctrl-C is not a failure; a message is printed only if something, such as a build, continues on the platform.
  if (error.code === "INTERRUPTED" && hint === undefined) return "";
  const [cause = "", ...detail] = error.message.trimEnd().split("\n");
  const lines = [`${style.red("error")} ${style.bold(error.code)}: ${printable(cause)}`];
  for (const line of detail) lines.push(`  ${printable(line)}`);
  for (const { file, line, column, message } of mistakes)
    lines.push(`  ${style.bold(`${printable(file)}:${line}:${column}`)}  ${printable(message)}`);
  const { stack, output } = error.options.facts ?? {};
  if (typeof stack === "string" && stack.trim() !== "") lines.push(style.dim(indent(printableBlock(stack.trimEnd()))));
  if (typeof output === "string" && output.trim() !== "")
    lines.push("  its last output:", style.dim(indent(printableBlock(output.trimEnd()))));
  if (hint !== undefined) lines.push(`  fix:     ${printable(hint)}`);
  lines.push(`  next:    ${printable(next ?? nextCommand(error.code))}`);
  if (requestId !== undefined) lines.push(`  request: ${printable(requestId)}`);
  return `${lines.join("\n")}\n`;
}

const indent = (text: string): string => text.replace(/^/gm, "    ");

/** The same for programs: one JSON document. */
export function errorDocument(error: CliError): Record<string, unknown> {
  const { hint, requestId, facts, mistakes, next } = error.options;
  return {
    type: "error",
    code: error.code,
    detail: error.message,
    hint,
    next: next ?? nextCommand(error.code),
    requestId,
    facts,
    mistakes,
    exitCode: exitCodeOf(error),
  };
}
