import { createdTokenSchema, createTokenSchema, tokenSchema } from "@fnctl/control-plane/contract/resources";
import { z } from "zod";
import { usage } from "../errors/cli-error.ts";
import { parseDuration } from "../project/units.ts";
import { addCommand, createSession, type GlobalFlags, type Register } from "../session.ts";
import { confirm } from "../terminal/confirm.ts";
import { table } from "../terminal/table.ts";

const collect = (value: string, all: string[] = []) => [...all, value];
const list = z.object({ items: z.array(tokenSchema) });

export const tokens: Register = (program, io) => {
  const group = program.command("tokens").description("create, list and revoke the tenant's tokens");
  addCommand(group, "ls", "list tokens, without their secrets").action(async (flags: GlobalFlags) => {
    const session = createSession(io, flags);
    const { items } = await (await session.api()).json(list, "GET", "/v1/tokens");
    session.result(
      { items },
      table(
        ["ID", "NAME", "PREFIX", "SCOPES", "EXPIRES"],
        items.map((item) => [item.id, item.name, item.prefix, item.scopes.join(","), item.expiresAt ?? "never"]),
      ),
    );
  });
  addCommand(group, "create", "create a token; its secret is printed this once")
    .argument("<name>", "what it is for")
    .option("--scope <scope>", "admin, deploy, read or invoke; may be repeated", collect)
    .option("--expires-in <duration>", "e.g. 720h")
    .action(async (name: string, flags: GlobalFlags & { scope?: string[]; expiresIn?: string }) => {
      const session = createSession(io, flags);
      const body = tokenRequest(name, flags.scope, flags.expiresIn);
      if (flags.dryRun === true) return session.note(`dry run: would create ${JSON.stringify(body)}`);
      const made = await (await session.api()).json(createdTokenSchema, "POST", "/v1/tokens", { body });
      session.note(`created ${made.name} (${made.id}); the secret is shown this once`);
      session.result(made, `${made.secret}\n`);
    });
  addCommand(group, "revoke", "revoke a token")
    .argument("<id>", "its id, from fnctl tokens ls")
    .action(async (id: string, flags: GlobalFlags) => {
      const session = createSession(io, flags);
      if (flags.dryRun === true) return session.note(`dry run: would revoke ${id}`);
      if (!(await confirm(io, `Revoke the token ${id}?`, flags.yes === true)))
        throw usage("Nothing was revoked.", `fnctl tokens revoke ${id} --yes`);
      await (await session.api()).send("DELETE", `/v1/tokens/${encodeURIComponent(id)}`, { repeat: false });
      session.note(`revoked ${id}`);
      session.result({ revoked: id }, "");
    });
};

function tokenRequest(name: string, scopes: string[] | undefined, expiresIn: string | undefined): z.infer<typeof createTokenSchema> {
  const expiresMs = expiresIn === undefined ? undefined : parseDuration(expiresIn);
  if (expiresIn !== undefined && expiresMs === undefined)
    throw usage(`--expires-in is not a duration: ${expiresIn}`, `fnctl tokens create ${name} --expires-in 720h`);
  const parsed = createTokenSchema.safeParse({
    name,
    scopes,
    expiresInSeconds: expiresMs === undefined ? undefined : Math.round(expiresMs / 1000),
  });
  if (!parsed.success)
    throw usage(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "), "fnctl tokens create --help");
  return parsed.data;
}
