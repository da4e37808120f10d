import { allOf, collect, functionPath, looseVersion, type LooseVersion } from "../api/resources.ts";
import { functionName } from "../project/load-project.ts";
import { addCommand, createSession, type GlobalFlags, type Register } from "../session.ts";
import { bytes, shortDigest } from "../terminal/amounts.ts";
import { table } from "../terminal/table.ts";

export const versions: Register = (program, io) => {
  addCommand(program, "versions", "list a function's versions, newest first")
    .argument("[name]", "the function; absent: that of fnctl.yaml")
    .action(async (given: string | undefined, flags: GlobalFlags) => {
      const session = createSession(io, flags);
      const name = await functionName(io.cwd, given, "versions");
      const all = await collect(allOf(await session.api(), looseVersion, functionPath(name, "/versions")));
      session.result({ items: all }, table(["VERSION", "STATE", "LIVE", "CREATED", "SIZE", "IMAGE", "REASON"], all.map(row)));
    });
};

const row = (version: LooseVersion): string[] => [
  `v${version.number}`,
  version.state,
  version.live ? "live" : "",
  version.createdAt,
  version.imageBytes === null ? "-" : bytes(version.imageBytes),
  version.imageDigest === null ? "-" : shortDigest(version.imageDigest),
  version.build.problem === null ? "" : `${version.build.problem.code}: ${version.build.problem.detail.split("\n")[0]}`,
];
