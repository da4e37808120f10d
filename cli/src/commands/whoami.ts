import { whoamiSchema } from "@fnctl/control-plane/contract/resources";
import { addCommand, createSession, type GlobalFlags, type Register } from "../session.ts";
import { facts } from "../terminal/table.ts";

export const whoami: Register = (program, io) => {
  addCommand(program, "whoami", "who the token belongs to").action(async (flags: GlobalFlags) => {
    const session = createSession(io, flags);
    const connection = await session.connection();
    const who = await (await session.api()).json(whoamiSchema, "GET", "/v1/whoami");
    const text = facts([
      ["tenant", who.tenant?.slug ?? "none (operator)"],
      ["token", `${who.token.name} (fnctl_${who.token.prefix}…)`],
      ["scopes", who.token.scopes.join(", ")],
      ["expires", who.token.expiresAt ?? "never"],
      ["platform", connection.url],
      ["context", connection.context],
    ]);
    session.result({ ...who, url: connection.url, context: connection.context ?? null }, text);
  });
};
