import { allFunctions, liveText } from "../api/resources.ts";
import { addCommand, createSession, type GlobalFlags, type Register } from "../session.ts";
import { table } from "../terminal/table.ts";

export const ls: Register = (program, io) => {
  addCommand(program, "ls", "list the tenant's functions").action(async (flags: GlobalFlags) => {
    const session = createSession(io, flags);
    const all = await allFunctions(await session.api());
    if (all.length === 0) session.note("no functions yet; begin with: fnctl init");
    const rows = all.map((fn) => [fn.name, fn.runtime, fn.access, liveText(fn), fn.url]);
    session.result({ items: all }, all.length === 0 ? "" : table(["NAME", "RUNTIME", "ACCESS", "LIVE", "URL"], rows));
  });
};
