import { functionSchema } from "@fnctl/control-plane/contract/resources";
import { functionPath } from "../api/resources.ts";
import { usage } from "../errors/cli-error.ts";
import { addCommand, createSession, type GlobalFlags, type Register } from "../session.ts";
import { confirm } from "../terminal/confirm.ts";

export const rm: Register = (program, io) => {
  addCommand(program, "rm", "remove a function with all its versions and logs")
    .argument("<name>", "the function")
    .action(async (name: string, flags: GlobalFlags) => {
      const session = createSession(io, flags);
      const api = await session.api();
      const fn = await api.json(functionSchema, "GET", functionPath(name));
      if (flags.dryRun === true) return session.note(`dry run: ${fn.name} (${fn.url}) would be removed`);
      const sure = await confirm(io, `Remove ${fn.name} with all its versions and logs?`, flags.yes === true);
      if (!sure) throw usage("Nothing was removed.", `fnctl rm ${name} --yes`);
      await api.send("DELETE", functionPath(name), { repeat: false });
      session.note(`removed ${fn.name}`);
      session.result({ removed: fn.name }, "");
    });
};
