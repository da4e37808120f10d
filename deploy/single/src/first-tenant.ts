// The first tenant and token of a fresh platform, and the CLI's context for it.
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { Client } from "undici";
import { parseDocument } from "yaml";
import { z } from "zod";
import { createToken } from "@fnctl/control-plane/accounts/token";
import { INTERNAL_PATHS, bootstrapResponseSchema } from "@fnctl/control-plane/contract/internal";
import type { Settings } from "./settings.ts";

export interface FirstTenant {
  tenantId: string;
  tenant: string;
  secret: string;
  operatorSecret: string;
}

/** Makes the first tenant and token once; returns undefined on later starts. */
export async function ensureFirstTenant(
  settings: Settings,
  controlSocket: string,
  internalSecret: string,
): Promise<FirstTenant | undefined> {
  const note = path.join(settings.stateDir, "first-tenant");
  if (existsSync(note) && !existsSync(wantedFile(settings))) return undefined;
  const secrets = await wantedSecrets(settings);
  const client = new Client("http://control", { socketPath: controlSocket });
  try {
    const answer = await client.request({
      method: "POST",
      path: INTERNAL_PATHS.bootstrap,
      headers: { authorization: `Bearer ${internalSecret}`, "content-type": "application/json" },
      body: JSON.stringify({ tenant: settings.tenant, tokenName: "first", ...secrets }),
    });
    const value: unknown = await answer.body.json();
    if (answer.statusCode !== 200) throw new Error(`the first tenant could not be made: ${JSON.stringify(value)}`);
    const { tenant, tenantId } = bootstrapResponseSchema.parse(value);
    await writeContext(settings, secrets.secret);
    await writeFile(note, `${tenant}\n`);
    return { tenant, tenantId, ...secrets };
  } finally {
    await client.close();
  }
}

const wantedFile = (settings: Settings): string => path.join(settings.stateDir, "first-tenant.wanted");
const secretsSchema = z.object({ secret: z.string(), operatorSecret: z.string() });

/** They have been shown, and are kept nowhere but in the CLI's own file. */
export const forgetSecrets = (settings: Settings): Promise<void> => rm(wantedFile(settings), { force: true });

/** Made before they are asked for, and kept until they have been shown: a start that is killed in between goes on with the same ones. */
async function wantedSecrets(settings: Settings): Promise<z.infer<typeof secretsSchema>> {
  const kept = await readFile(wantedFile(settings), "utf8").catch(() => undefined);
  const parsed = kept === undefined ? undefined : secretsSchema.safeParse(parseDocument(kept).toJSON());
  if (parsed?.success === true) return parsed.data;
  const fresh = { secret: createToken().secret, operatorSecret: createToken().secret };
  await writeFile(wantedFile(settings), JSON.stringify(fresh), { mode: 0o600, flush: true });
  return fresh;
}

/** Adds or replaces this platform's context in the CLI's file, which holds a token and so is mode 0600. */
async function writeContext(settings: Settings, token: string): Promise<void> {
  const file = settings.cliConfig;
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const document = parseDocument(await readFile(file, "utf8").catch(() => ""));
  document.setIn(["current"], settings.contextName);
  document.setIn(["contexts", settings.contextName], { url: settings.publicUrl, token });
  await writeFile(file, document.toString(), { mode: 0o600 });
  await chmod(file, 0o600);
}
