import { text } from "node:stream/consumers";
import { whoamiSchema } from "@fnctl/control-plane/contract/resources";
import { createApiClient } from "../api/client.ts";
import { usage } from "../errors/cli-error.ts";
import { addCommand, createSession, type GlobalFlags, type Register, type Session } from "../session.ts";
import { changeConfig, configPath, readConfig } from "../settings/config-file.ts";
import { parseUrl } from "../settings/connection.ts";

interface Flags extends GlobalFlags {
  tokenStdin?: boolean;
}
const LOOPBACK = /^(?:localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export const login: Register = (program, io) => {
  addCommand(program, "login", "store a token for a platform, after asking the platform whether it is valid")
    .option("--token-stdin", "read the token from stdin")
    .action(async (flags: Flags) => run(createSession(io, flags), flags));
};

async function run(session: Session, flags: Flags): Promise<void> {
  const { io } = session;
  if (flags.tokenStdin !== true)
    throw usage("Tokens are read from stdin, so that they stand in no shell history.", "fnctl login --token-stdin --url URL < token-file");
  const url = await address(session, flags);
  const { protocol, hostname } = new URL(url);
  if (protocol === "http:" && !LOOPBACK.test(hostname))
    session.note(`${session.style.yellow("warning")}: ${url} is not https; the token travels readable.`);
  if (io.stdin.isTTY === true) session.note("Paste the token, then Enter and Ctrl-D.");
  const token = (await text(io.stdin)).trim();
  if (!/^[\x21-\x7e]{8,500}$/.test(token)) throw usage("stdin holds no token.", "fnctl login --token-stdin < token-file");
  const who = await createApiClient({ url, token, context: undefined }, io.signal).json(whoamiSchema, "GET", "/v1/whoami");
  const file = configPath(io);
  const name = flags.context ?? (await nameFor(url, file));
  if (flags.dryRun === true) return session.note(`dry run: the token is valid; ${file} was not changed`);
  await changeConfig(file, (document) => {
    document.setIn(["current"], name);
    document.setIn(["contexts", name], { url, token });
  });
  session.note(`signed in to ${url} as ${who.tenant?.slug ?? "operator"}; context ${name} in ${file}`);
  session.result({ context: name, url, tenant: who.tenant?.slug ?? null }, "");
}

/** The platform's address: from --url, from FNCTL_URL, or from the context that is being renewed. */
async function address({ io }: Session, flags: Flags): Promise<string> {
  const given = flags.url ?? (io.env["FNCTL_URL"] || undefined);
  if (given !== undefined) return parseUrl(given, flags.url === undefined ? "FNCTL_URL" : "--url");
  const config = await readConfig(configPath(io));
  const known = config.contexts[flags.context ?? (io.env["FNCTL_CONTEXT"] || config.current) ?? ""];
  if (known === undefined) throw usage("Which platform? Say its address.", "fnctl login --token-stdin --url URL < token-file");
  return parseUrl(known.url, "The context");
}

async function nameFor(url: string, file: string): Promise<string> {
  const { contexts } = await readConfig(file);
  const same = Object.keys(contexts).find((name) => contexts[name]?.url.replace(/\/+$/, "") === url);
  if (same !== undefined) return same;
  const { hostname, host } = new URL(url);
  const base = LOOPBACK.test(hostname) ? "local" : host;
  return contexts[base] === undefined ? base : host;
}
