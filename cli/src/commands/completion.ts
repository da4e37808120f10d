import type { Command } from "commander";
import { usage } from "../errors/cli-error.ts";
import type { Register } from "../session.ts";
import { scripts, type Entry } from "../terminal/completion-scripts.ts";

export const completion: Register = (program, io) => {
  program
    .command("completion")
    .description("print a completion script")
    .argument("<shell>", Object.keys(scripts).join(", "))
    .addHelpText(
      "after",
      '\nbash: eval "$(fnctl completion bash)"\nzsh:  eval "$(fnctl completion zsh)"\nfish: fnctl completion fish | source',
    )
    .action((shell: string) => {
      if (!Object.hasOwn(scripts, shell))
        throw usage(`There is no completion for ${shell}; there is for ${Object.keys(scripts).join(", ")}.`, "fnctl completion bash");
      io.stdout.write(scripts[shell as keyof typeof scripts](entries(program)));
    });
};

/** The entries are read from the program itself, so that the scripts are never out of date. */
function entries(program: Command): Entry[] {
  return program.commands
    .filter((command) => !command.name().startsWith("_"))
    .map((command) => ({
      name: command.name(),
      summary: command.description(),
      words: command.commands.map((child) => child.name()),
      flags: [
        ...new Set(
          [command, ...command.commands].flatMap((step) =>
            step.options.flatMap((option) => (option.long === undefined ? [] : [option.long])),
          ),
        ),
      ],
      takesFunction: command.registeredArguments[0]?.name() === "name",
    }));
}
