// A hidden command for shell completion that prints the functions' names, one a line. It prints nothing when anything fails.
import { allFunctions } from "../api/resources.ts";
import { createSession, type Register } from "../session.ts";

export const names: Register = (program, io) => {
  program.command("_names", { hidden: true }).action(async () => {
    const quick = AbortSignal.any([io.signal, AbortSignal.timeout(1500)]);
    const all = await createSession({ ...io, signal: quick }, {})
      .api()
      .then(allFunctions)
      .catch(() => []);
    for (const { name } of all) io.stdout.write(`${name}\n`);
  });
};
