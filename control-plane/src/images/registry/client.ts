// HTTP to one registry: authenticated, retried where that is safe, redirects followed with care (distribution-spec 1.1).
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request, type Dispatcher } from "undici";
import { PlatformError } from "../../contract/errors.ts";
import { createAuth, type Credentials } from "./auth.ts";

export const REGISTRY_LIMITS = {
  /** Manifests, configs, tag lists, tokens: bytes. */
  documentBytes: 4 * 1024 * 1024,
  tries: 4,
  backoffMs: 200,
  backoffMostMs: 5_000,
  /** A registry that asks for a longer pause is taken for unreachable. */
  retryAfterMostMs: 15_000,
  redirects: 3,
  headersMs: 30_000,
  bodyMs: 60_000,
  /** One PATCH of an upload. */
  chunkBytes: 16 * 1024 * 1024,
} as const;

export interface RegistryOptions {
  /** `https://host/prefix`; `http:` only where the operator wrote it. */
  url: string;
  credentials?: Credentials | undefined;
  /** PEM to trust in place of the built-in roots. */
  ca?: string | undefined;
}
export interface Call {
  method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below `/v2/`, or what a Location said. */
  to: string | URL;
  /** Repository whose rights are asked for. */
  repository: string;
  headers?: Record<string, string>;
  /** Made anew for each try. */
  body?: () => Buffer | Readable;
  /** Statuses that are no failure; the caller tells them apart. */
  expect: readonly number[];
}
export type Answer = Dispatcher.ResponseData;

export function createRegistryClient(options: RegistryOptions) {
  const registry = new URL(options.url);
  const agent = new Agent({ connect: options.ca === undefined ? {} : { ca: options.ca }, connections: 16, allowH2: false });
  const auth = createAuth(registry, options.credentials, async (url, headers) => {
    const answer = await send(url, { method: "GET", headers });
    if (answer.statusCode !== 200) {
      await answer.body.dump();
      throw new PlatformError("UNAVAILABLE", `The registry's token service answered ${answer.statusCode}.`);
    }
    return JSON.parse((await document(answer)).toString()) as unknown;
  });

  const send = (
    url: URL,
    { method, headers, body }: { method: Call["method"]; headers: Record<string, string>; body?: Buffer | Readable },
  ) =>
    request(url, {
      dispatcher: agent,
      method,
      headers,
      body: body ?? null,
      headersTimeout: REGISTRY_LIMITS.headersMs,
      bodyTimeout: REGISTRY_LIMITS.bodyMs,
    });

  const scopeOf = ({ repository, method }: Call): string =>
    `repository:${repository}:${method === "GET" || method === "HEAD" ? "pull" : method === "DELETE" ? "delete,pull,push" : "pull,push"}`;

  /** One try: with what is known, then once more with what the challenge asks for. Credentials go to the registry's own origin only. */
  async function once(asked: Call, url: URL): Promise<Answer> {
    const own = url.origin === registry.origin;
    const scope = scopeOf(asked);
    const attempt = (authorization: string | undefined) =>
      send(url, {
        method: asked.method,
        headers: { ...asked.headers, ...(authorization === undefined ? {} : { authorization }) },
        ...(asked.body === undefined ? {} : { body: asked.body() }),
      });
    const first = await attempt(own ? auth.headerFor(scope) : undefined);
    const challenge = first.headers["www-authenticate"];
    if (first.statusCode !== 401 || !own || challenge === undefined) return first;
    await first.body.dump();
    return attempt(await auth.answer(String(challenge), scope));
  }

  async function follow(asked: Call, from: URL): Promise<Answer> {
    let url = from;
    for (let left: number = REGISTRY_LIMITS.redirects; ; left--) {
      const answer = await once(asked, url);
      const { location } = answer.headers;
      if (![301, 302, 303, 307, 308].includes(answer.statusCode) || location === undefined || asked.method !== "GET") return answer;
      await answer.body.dump();
      const next = new URL(String(location), url);
      if (left === 0 || (url.protocol === "https:" && next.protocol !== "https:"))
        throw new PlatformError("UNAVAILABLE", "The registry redirects too often, or to a place without TLS.");
      url = next;
    }
  }

  /** Rejects with a coded error for any status that is not expected. */
  async function call(asked: Call): Promise<Answer> {
    const url = new URL(asked.to, new URL("/v2/", registry));
    for (let tried = 1; ; tried++) {
      const answer = await follow(asked, url).catch((error: unknown) =>
        error instanceof PlatformError ? Promise.reject(error) : (error as Error),
      );
      if (!(answer instanceof Error) && asked.expect.includes(answer.statusCode)) return answer;
      const again = answer instanceof Error || answer.statusCode === 429 || answer.statusCode >= 500;
      const pause = answer instanceof Error ? backoff(tried) : pauseOf(answer, tried);
      if (!again || tried === REGISTRY_LIMITS.tries || pause > REGISTRY_LIMITS.retryAfterMostMs) throw await failure(asked, answer);
      if (!(answer instanceof Error)) await answer.body.dump();
      await sleep(pause);
    }
  }
  return {
    registry,
    call,
    document,
    path: (repository: string) => `${registry.pathname.replace(/^\/|\/$/g, "")}/${repository}`.replace(/^\//, ""),
  };
}
export type RegistryClient = ReturnType<typeof createRegistryClient>;

/** A body as a whole, capped. */
export async function document(answer: Answer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > REGISTRY_LIMITS.documentBytes) throw new PlatformError("UNAVAILABLE", "The registry sent a document that is too large.");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Full jitter (SECURITY 4.1). */
const backoff = (tried: number): number => Math.random() * Math.min(REGISTRY_LIMITS.backoffMs * 2 ** tried, REGISTRY_LIMITS.backoffMostMs);

function pauseOf(answer: Answer, tried: number): number {
  const seconds = Number(answer.headers["retry-after"]);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : backoff(tried);
}

const DETAIL = 300;
async function failure({ method, repository }: Call, answer: Answer | Error): Promise<PlatformError> {
  const what = `${method} in ${repository}`;
  if (answer instanceof Error) return new PlatformError("UNAVAILABLE", `The image registry is not reachable (${what}).`, { cause: answer });
  const text = (await document(answer).catch(() => Buffer.alloc(0))).toString("utf8").slice(0, DETAIL);
  if (answer.statusCode === 404) return new PlatformError("NOT_FOUND", `The image registry has no such thing (${what}).`);
  const hint = [401, 403].includes(answer.statusCode) ? "Check the registry's credentials in the platform's settings." : undefined;
  return new PlatformError("UNAVAILABLE", `The image registry answered ${answer.statusCode} (${what}): ${text}`, { hint });
}
