// Finds the platform's address and the token: flags come before FNCTL_* variables, and these before the context. A token is only ever sent
// to the address it was stored for.
import type { CliIo } from "../cli-io.ts";
import { CliError, usage } from "../errors/cli-error.ts";
import { configPath, readConfig, refuseOpenFile, type Config } from "./config-file.ts";

export interface ConnectionFlags {
  url?: string | undefined;
  context?: string | undefined;
}
export interface Connection {
  /** Origin of the platform, no slash at the end. */
  url: string;
  token: string | undefined;
  /** Name of the context in use; undefined when everything came from flags and environment. */
  context: string | undefined;
}

export function parseUrl(text: string, source: string): string {
  // Not URL.parse, which Node 20 lacks.
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw usage(`${source} is not an http or https address: ${text}`);
  if (url.username !== "" || url.password !== "") throw usage(`${source} must not hold a user or password.`);
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

/** Name of the context to use. If an address is given, it is the context stored for that address. */
function chosenContext(
  config: Config,
  flags: ConnectionFlags,
  env: CliIo["env"],
  url: string | undefined,
  file: string,
): string | undefined {
  const asked = flags.context ?? (env["FNCTL_CONTEXT"] || undefined);
  if (asked === undefined && url !== undefined) return Object.keys(config.contexts).find((name) => contextUrl(config, name) === url);
  const name = asked ?? config.current;
  if (name === undefined || config.contexts[name] !== undefined) return name;
  const known = Object.keys(config.contexts).join(", ") || "none";
  throw new CliError("INVALID_CONFIG", `There is no context ${name} in ${file}; known: ${known}.`, {
    next: `fnctl login --token-stdin --url URL --context ${name}`,
  });
}

function contextUrl(config: Config, name: string): string | undefined {
  const url = config.contexts[name]?.url;
  return url === undefined ? undefined : parseUrl(url, `The context ${name}`);
}

/** Fails when no address is known; the token may be absent. */
export async function findConnection(io: CliIo, flags: ConnectionFlags): Promise<Connection> {
  const file = configPath(io);
  const config = await readConfig(file);
  const asked = flags.url ?? (io.env["FNCTL_URL"] || undefined);
  const url = asked === undefined ? undefined : parseUrl(asked, flags.url === undefined ? "FNCTL_URL" : "--url");
  const ownToken = io.env["FNCTL_TOKEN"]?.trim() || undefined;
  const name = chosenContext(config, flags, io.env, url, file);
  const stored = name === undefined ? undefined : contextUrl(config, name);
  const address = url ?? stored;
  if (address === undefined) throw new CliError("NOT_SIGNED_IN", "No platform is set up.");
  const token = name === undefined || stored !== address ? undefined : config.contexts[name]?.token;
  if (ownToken === undefined && token !== undefined) await refuseOpenFile(file);
  return { url: address, token: ownToken ?? token, context: stored === address ? name : undefined };
}
