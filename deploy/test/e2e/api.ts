// A client of the platform under test: the management API and the functions' endpoints, over real HTTP.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { parse } from "yaml";
import tar from "tar-stream";
import { inject } from "vitest";

const platform = inject("platform");

/** The token of the current context in a CLI's file. */
export function tokenIn(config: string): string {
  const file = parse(readFileSync(config, "utf8")) as { current: string; contexts: Record<string, { token: string }> };
  return file.contexts[file.current]!.token;
}
export const token = (): string => tokenIn(platform.config);

export async function api(
  method: string,
  path: string,
  options: { body?: unknown; raw?: Buffer; token?: string; headers?: Record<string, string> } = {},
): Promise<Response> {
  const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  return fetch(`${platform.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${options.token ?? token()}`,
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
      ...options.headers,
    },
    signal: AbortSignal.timeout(60_000),
    ...(body === undefined ? {} : { body: body as string }),
  });
}

export async function archive(files: Record<string, string | Buffer>): Promise<Buffer> {
  const pack = tar.pack();
  for (const [name, text] of Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    pack.entry({ name, mtime: new Date(0) }, text as string);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}

interface BuildEnd {
  state: "succeeded" | "failed";
  problem?: { code: string; detail: string; facts?: { stack?: string } };
  log: string;
}
type Deployed = BuildEnd & { version: number; imageDigest: string | null };
/** Packs and uploads files, creates a version and follows its build to the end. */
export async function deploy(
  name: string,
  files: Record<string, string | Buffer>,
  config: Record<string, unknown> = {},
  as = token(),
): Promise<Deployed> {
  return deployArchive(name, await archive(files), config, as);
}

/** The same with the archive as it is. */
export async function deployArchive(name: string, source: Buffer, config: Record<string, unknown> = {}, as = token()): Promise<Deployed> {
  const digest = `sha256:${createHash("sha256").update(source).digest("hex")}`;
  const put = await api("PUT", `/v1/blobs/${digest}`, { raw: source, token: as });
  if (put.status !== 201) throw new Error(`upload: ${put.status} ${await put.text()}`);
  const made = await api("POST", `/v1/functions/${name}/versions`, {
    body: { sourceDigest: digest, config: { runtime: "node24", ...config } },
    token: as,
  });
  if (made.status !== 201) throw new Error(`create: ${made.status} ${await made.text()}`);
  const version = (await made.json()) as { number: number; build: { id: string } };
  const stream = await api("GET", `/v1/builds/${version.build.id}/events`, { token: as });
  const events = (await stream.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string; text?: string; state?: string; problem?: BuildEnd["problem"] });
  const end = events.at(-1) as unknown as BuildEnd;
  const listed = (await (await api("GET", `/v1/functions/${name}/versions?limit=1`, { token: as })).json()) as {
    items: { imageDigest: string | null }[];
  };
  return {
    ...end,
    log: events.map((event) => event.text ?? "").join("\n"),
    version: version.number,
    imageDigest: listed.items[0]?.imageDigest ?? null,
  };
}

/** Calls a function by its path route. */
export function call(name: string, path = "/", init: RequestInit = {}, tenant = "acme"): Promise<Response> {
  return fetch(`${platform.url}/fn/${tenant}/${name}${path}`, {
    signal: AbortSignal.timeout(60_000),
    ...init,
    headers: { authorization: `Bearer ${token()}`, ...(init.headers as Record<string, string>) },
  });
}

export const stateDir = platform.stateDir;
