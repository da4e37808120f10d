// A client of a platform: the management API and the functions' endpoints, over real HTTP.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { parse } from "yaml";
import tar from "tar-stream";

export interface ApiClientOptions {
  url: string;
  tenant: string;
  token(): string;
}
export interface Call {
  body?: unknown;
  raw?: Buffer;
  token?: string;
  headers?: Record<string, string>;
  /** Absent: a minute. */
  timeoutMs?: number;
}
export interface BuildEnd {
  state: "succeeded" | "failed" | "superseded";
  problem?: { code: string; detail: string; hint?: string; facts?: { stack?: string } };
  log: string;
}
export type Deployed = BuildEnd & { version: number; imageDigest: string | null };
export type Files = Record<string, string | Buffer>;

/** The token of the current context in a CLI's file. */
export function tokenIn(config: string): string {
  const file = parse(readFileSync(config, "utf8")) as { current: string; contexts: Record<string, { token: string }> };
  return file.contexts[file.current]!.token;
}

/** `up` shows the operator's token once, so it is read from the log of `up`. */
export function operatorTokenIn(stateDir: string): string {
  const found = /^Operator's token.*\n\s*(fnctl_\S+)/m.exec(readFileSync(`${stateDir}/up.log`, "utf8"))?.[1];
  if (found === undefined) throw new Error("up.log shows no operator's token");
  return found;
}

export async function archive(files: Files): Promise<Buffer> {
  const pack = tar.pack();
  for (const [name, text] of Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    pack.entry({ name, mtime: new Date(0) }, text as string);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}

/** A build with packages, on a machine with other work. */
const BUILD_MS = 170_000;
const MOST_TRIES = 5;

export function createApiClient({ url, tenant, token }: ApiClientOptions) {
  function api(method: string, path: string, options: Call = {}): Promise<Response> {
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    return fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${options.token ?? token()}`,
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      signal: AbortSignal.timeout(options.timeoutMs ?? 60_000),
      ...(body === undefined ? {} : { body: body as string }),
    });
  }

  /** Uploads and creates a version; returns without waiting for its build. */
  async function create(name: string, source: Buffer, config: Record<string, unknown>, as: string) {
    const digest = `sha256:${createHash("sha256").update(source).digest("hex")}`;
    const put = await api("PUT", `/v1/blobs/${digest}`, { raw: source, token: as });
    if (put.status !== 201) throw new Error(`upload: ${put.status} ${await put.text()}`);
    const made = await api("POST", `/v1/functions/${name}/versions`, {
      body: { sourceDigest: digest, config: { runtime: "node24", ...config } },
      token: as,
    });
    if (made.status !== 201) throw new Error(`create: ${made.status} ${await made.text()}`);
    return (await made.json()) as { number: number; build: { id: string } };
  }

  /** A resource; asked for again, as a client does, where the answer says that it may be there later. */
  async function read(path: string, as: string): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      const answer = await api("GET", path, { token: as });
      if (answer.status === 200) return answer.json();
      const text = await answer.text();
      if (answer.status !== 503 || attempt === MOST_TRIES) throw new Error(`GET ${path}: ${answer.status} ${text}`);
      await sleep(Number(answer.headers.get("retry-after") ?? 1) * 1_000);
    }
  }

  /** Creates a version from the unchanged archive, and follows its build to the end. */
  async function deployArchive(name: string, source: Buffer, config: Record<string, unknown> = {}, as = token()): Promise<Deployed> {
    const version = await create(name, source, config, as);
    const stream = await api("GET", `/v1/builds/${version.build.id}/events`, { token: as, timeoutMs: BUILD_MS });
    const events = (await stream.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; text?: string; state?: string; problem?: BuildEnd["problem"] });
    const end = events.at(-1) as unknown as BuildEnd;
    const listed = (await read(`/v1/functions/${name}/versions?limit=1`, as)) as { items: { imageDigest: string | null }[] };
    const log = events.map((event) => event.text ?? "").join("\n");
    return { ...end, log, version: version.number, imageDigest: listed.items[0]?.imageDigest ?? null };
  }

  return {
    url,
    api,
    create: async (name: string, files: Files, config: Record<string, unknown> = {}, as = token()) =>
      create(name, await archive(files), config, as),
    /** Packs and uploads files, creates a version and follows its build to the end. */
    deploy: async (name: string, files: Files, config: Record<string, unknown> = {}, as = token()): Promise<Deployed> =>
      deployArchive(name, await archive(files), config, as),
    deployArchive,
    /** Calls a function by its path route. */
    call: (name: string, path = "/", init: RequestInit = {}, of = tenant): Promise<Response> =>
      fetch(`${url}/fn/${of}/${name}${path}`, {
        signal: AbortSignal.timeout(60_000),
        ...init,
        headers: { authorization: `Bearer ${token()}`, ...(init.headers as Record<string, string>) },
      }),
  };
}
export type ApiClient = ReturnType<typeof createApiClient>;
