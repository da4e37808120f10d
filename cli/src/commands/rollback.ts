import { functionSchema } from "@fnctl/control-plane/contract/resources";
import type { ApiClient } from "../api/client.ts";
import { allOf, functionPath, looseVersion } from "../api/resources.ts";
import { CliError, usage } from "../errors/cli-error.ts";
import { functionName } from "../project/load-project.ts";
import { addCommand, createSession, type GlobalFlags, type Register, type Session } from "../session.ts";

export const rollback: Register = (program, io) => {
  addCommand(program, "rollback", "serve another version; absent: the ready one before the live one")
    .argument("[name]", "the function; absent: that of fnctl.yaml")
    .argument("[version]", "number of the version")
    .action(async (first: string | undefined, second: string | undefined, flags: GlobalFlags) => {
      // Names begin with a letter, so `fnctl rollback 3` is a version.
      const [given, version] = second === undefined && /^\d/.test(first ?? "") ? [undefined, first] : [first, second];
      await run(createSession(io, flags), await functionName(io.cwd, given, "rollback"), parseNumber(version));
    });
};

function parseNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^v?([1-9]\d{0,8})$/.exec(text);
  if (match === null) throw usage(`Not the number of a version: ${text}`, "fnctl versions");
  return Number(match[1]);
}

async function run(session: Session, name: string, asked: number | undefined): Promise<void> {
  const api = await session.api();
  const before = await api.json(functionSchema, "GET", functionPath(name));
  const version = asked ?? (await previousReady(api, name, before.liveVersion));
  const from = before.liveVersion === null ? "nothing" : `v${before.liveVersion}`;
  if (session.flags.dryRun === true) return session.note(`dry run: ${name} would go from ${from} to v${version}`);
  // If-Match: a deploy since `live` was read must not be undone unnoticed.
  const after = await api
    .json(functionSchema, "PUT", functionPath(name, "/aliases/live"), {
      body: { version },
      headers: { "if-match": before.etag },
      repeat: false,
    })
    .catch((error: unknown) => {
      throw error instanceof CliError ? error.with({ next: `fnctl versions ${name}` }) : error;
    });
  session.note(`${name} serves v${version} now (was ${from})`);
  session.result(after, `${after.url}\n`);
}

async function previousReady(api: ApiClient, name: string, live: number | null): Promise<number> {
  for await (const version of allOf(api, looseVersion, functionPath(name, "/versions"))) {
    if (version.state === "ready" && (live === null || version.number < live)) return version.number;
  }
  throw new CliError("NOT_FOUND", `${name} has no ready version${live === null ? "" : ` before v${live}`}.`, {
    next: `fnctl versions ${name}`,
  });
}
