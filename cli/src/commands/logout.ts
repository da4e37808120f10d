import { usage } from "../errors/cli-error.ts";
import { addCommand, createSession, type GlobalFlags, type Register } from "../session.ts";
import { changeConfig, configPath, readConfig } from "../settings/config-file.ts";

export const logout: Register = (program, io) => {
  addCommand(program, "logout", "forget the token of a context").action(async (flags: GlobalFlags) => {
    const session = createSession(io, flags);
    const file = configPath(io);
    const config = await readConfig(file);
    const name = flags.context ?? (io.env["FNCTL_CONTEXT"] || config.current);
    if (name === undefined || config.contexts[name] === undefined)
      throw usage(`There is no context ${name ?? "in use"} in ${file}.`, "fnctl login --token-stdin --url URL < token-file");
    if (flags.dryRun === true) return session.note(`dry run: the token of ${name} would be forgotten`);
    await changeConfig(file, (document) => void document.deleteIn(["contexts", name, "token"]));
    session.note(`forgot the token of ${name}; it stays valid until it is revoked: fnctl tokens revoke ID`);
    session.result({ context: name }, "");
  });
};
