// `~/.config/fnctl/config.yaml`: contexts with their tokens. Mode 0600; a file that others can read is refused.
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseDocument, type Document } from "yaml";
import { z } from "zod";
import type { CliIo } from "../cli-io.ts";
import { CliError } from "../errors/cli-error.ts";

const contextSchema = z.object({ url: z.url({ protocol: /^https?$/ }), token: z.string().min(1).optional() });
const configSchema = z.object({ current: z.string().optional(), contexts: z.record(z.string(), contextSchema).default({}) });
export type Context = z.infer<typeof contextSchema>;
export type Config = z.infer<typeof configSchema>;

/** XDG base directory specification; `FNCTL_CONFIG` names the file itself. */
export function configPath({ env, home }: Pick<CliIo, "env" | "home">): string {
  const base = env["XDG_CONFIG_HOME"];
  return (
    env["FNCTL_CONFIG"] ||
    path.join(base !== undefined && path.isAbsolute(base) ? base : path.join(home, ".config"), "fnctl", "config.yaml")
  );
}

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === "ENOENT") return undefined;
  throw error;
};

/** Permission bits of group and others, e.g. `0044`; 0 when only the file's owner has access. */
export async function openBits(file: string): Promise<number> {
  return ((await stat(file).catch(absent))?.mode ?? 0) & 0o077;
}

async function readDocument(file: string): Promise<Document> {
  const document = parseDocument((await readFile(file, "utf8").catch(absent)) ?? "");
  const [problem] = document.errors;
  if (problem !== undefined)
    throw new CliError("INVALID_CONFIG", `${file} is not valid YAML: ${problem.message.split("\n")[0]}`, { next: `mend ${file}` });
  return document;
}

function valueOf(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new CliError("INVALID_CONFIG", `${file} cannot be read: ${(error as Error).message}`, { next: `mend ${file}`, cause: error });
  }
}

export async function readConfig(file: string): Promise<Config> {
  const document = await readDocument(file);
  const parsed = configSchema.safeParse(valueOf(document, file) ?? {});
  if (parsed.success) return parsed.data;
  throw new CliError("INVALID_CONFIG", `${file} is not a fnctl configuration: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`, {
    next: `mend ${file}`,
  });
}

export async function refuseOpenFile(file: string): Promise<void> {
  if (process.platform === "win32" || (await openBits(file)) === 0) return;
  throw new CliError("INVALID_CONFIG", `${file} holds a token and others may read it.`, { next: `chmod 600 ${file}` });
}

/** Keeps comments and other contexts. The new file is written beside the old one and renamed, so that a crash leaves the old one. */
export async function changeConfig(file: string, change: (document: Document) => void): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const document = await readDocument(file);
  change(document);
  const beside = `${file}.${process.pid}.tmp`;
  await writeFile(beside, document.toString(), { mode: 0o600 });
  await rename(beside, file);
}
