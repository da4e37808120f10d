// HTTP to one registry: authenticated, retried where that is safe, redirects followed with care (distribution-spec 1.1).
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request, type Dispatcher } from "undici";
import { PlatformError } from "../../contract/errors.ts";
import { CREDENTIALS_HINT, createAuth, type Credentials } from "./auth.ts";

export const REGISTRY_LIMITS = {
  /** The most bytes of a manifest, config, tag list or token answer. */
  documentBytes: 4 * 1024 * 1024,
  /** Tries of one request, of one blob's download that broke, and of one upload that had to start anew. */
  tries: 4,
  backoffMs: 200,
  backoffMostMs: 5_000,
  /** A registry that asks for a longer pause counts as unreachable. */
  retryAfterMostMs: 15_000,
  redirects: 3,
  headersMs: 30_000,
  bodyMs: 60_000,
  /** Body of one PATCH of an upload. */
  chunkBytes: 16 * 1024 * 1024,
  /** The most bytes of one blob that is read; the largest blobs that the platform writes are bases and layers of half a gigabyte. */
  blobBytes: 1024 ** 3,
  /** The most pages of one list of tags or referrers. */
  pages: 100,
} as const;

export interface RegistryOptions {
  /** `https://host/prefix`; `http:` only where the operator wrote it. */
  url: string;
  credentials?: Credentials | undefined;
  /** PEM to trust in place of the built-in roots. */
  ca?: string | undefined;
}
/**
 * In `expect`, this says that a broken connection is not a failure and is not retried blindly: the caller asks the registry how much it
 * got.
 */
export const BROKEN = 0;
export interface Call {
  method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** A path below `/v2/`, or the URL of a Location field. */
  to: string | URL;
  /** Repository for which credentials with the needed rights are requested. */
  repository: string;
  headers?: Record<string, string>;
  /** Made anew for each try. */
  body?: () => Buffer | Readable;
  /** Statuses that do not count as a failure; the caller handles each. */
  expect: readonly number[];
}
export type Answer = Dispatcher.ResponseData;
export type Head = Pick<Answer, "statusCode" | "headers">;
/** Result of one try: an answer that was read, or the error and whether another try may help. */
type Outcome<T> = { taken: T } | { error: PlatformError; again: boolean; broken: boolean; pauseMs?: number | undefined };

const REDIRECTS = [301, 302, 303, 307, 308];
const mayPass = (status: number): boolean => status === 429 || status >= 500;

export function createRegistryClient(options: RegistryOptions) {
  const registry = new URL(options.url);
  const agent = new Agent({ connect: options.ca === undefined ? {} : { ca: options.ca }, connections: 16, allowH2: false });
  const auth = createAuth(registry, options.credentials, async (url, headers) => {
    const answer = await send(url, { method: "GET", headers });
    const bytes = await readDocument(answer);
    if (answer.statusCode === 200) return bytes;
    const message = `The registry's token service answered ${answer.statusCode}.`;
    if (mayPass(answer.statusCode)) throw new Error(message); // not a PlatformError, so that it is retried like a broken connection
    throw new PlatformError("UNAVAILABLE", message, { hint: CREDENTIALS_HINT });
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

  /**
   * One try: first with the known credentials, then once more with those that the challenge asks for. Credentials go to the registry's own
   * origin only.
   */
  async function once(asked: Call, url: URL): Promise<Answer> {
    const own = url.origin === registry.origin;
    const scope = scopeOf(asked);
    const sendWith = (authorization: string | undefined) =>
      send(url, {
        method: asked.method,
        headers: { ...asked.headers, ...(authorization === undefined ? {} : { authorization }) },
        ...(asked.body === undefined ? {} : { body: asked.body() }),
      });
    const first = await sendWith(own ? await auth.headerFor(scope) : undefined);
    const challenge = first.headers["www-authenticate"];
    if (first.statusCode !== 401 || !own || challenge === undefined) return first;
    await first.body.dump();
    return sendWith(await auth.answer([challenge].flat(), scope));
  }

  async function follow(asked: Call, from: URL): Promise<Answer> {
    let url = from;
    for (let left: number = REGISTRY_LIMITS.redirects; ; left--) {
      if (registry.protocol === "https:" && url.protocol !== "https:")
        throw new PlatformError("UNAVAILABLE", "The image registry names a place without TLS.");
      const answer = await once(asked, url);
      const { location } = answer.headers;
      if (!REDIRECTS.includes(answer.statusCode) || location === undefined || !["GET", "HEAD"].includes(asked.method)) return answer;
      await answer.body.dump();
      if (left === 0) throw new PlatformError("UNAVAILABLE", "The image registry redirects too often.");
      url = new URL(String(location), url);
    }
  }

  async function attempt<T>(asked: Call, url: URL, take: (answer: Answer) => Promise<T>): Promise<Outcome<T>> {
    try {
      const answer = await follow(asked, url);
      if (asked.expect.includes(answer.statusCode)) return { taken: await take(answer) };
      return { error: await failure(asked, answer), again: mayPass(answer.statusCode), broken: false, pauseMs: retryAfter(answer) };
    } catch (cause) {
      if (cause instanceof PlatformError) throw cause;
      const what = `The image registry is not reachable (${asked.method} in ${asked.repository}).`;
      return { error: new PlatformError("UNAVAILABLE", what, { cause }), again: true, broken: true };
    }
  }

  /**
   * Rejects with a coded error for any status that is not expected. A connection that breaks while `take` reads the answer is a failed try,
   * too.
   */
  async function exchange<T>(asked: Call, take: (answer: Answer) => Promise<T>): Promise<T | undefined> {
    const url = new URL(asked.to, new URL("/v2/", registry));
    for (let tried = 1; ; tried++) {
      const outcome = await attempt(asked, url, take);
      if ("taken" in outcome) return outcome.taken;
      if (outcome.broken && asked.expect.includes(BROKEN)) return undefined;
      const pause = outcome.pauseMs ?? backoff(tried);
      if (!outcome.again || tried === REGISTRY_LIMITS.tries || pause > REGISTRY_LIMITS.retryAfterMostMs) throw outcome.error;
      await sleep(pause);
    }
  }

  return {
    registry,
    /** For calls whose answer's body is not needed. */
    call: async (asked: Call): Promise<Head> => (await exchange(asked, headOf)) ?? { statusCode: BROKEN, headers: {} },
    /** Resolves with the answer's whole body, whose size is capped. */
    document: async (asked: Call): Promise<Head & { bytes: Buffer }> =>
      (await exchange(asked, async (answer) => ({ ...(await headOf(answer, false)), bytes: await readDocument(answer) })))!,
    /** Resolves with an answer whose body the caller still has to read. */
    open: async (asked: Call): Promise<Answer> => (await exchange(asked, async (answer) => answer))!,
    pause: (tried: number): Promise<void> => sleep(backoff(tried)),
    path: (repository: string) => `${registry.pathname.replace(/^\/|\/$/g, "")}/${repository}`.replace(/^\//, ""),
  };
}
export type RegistryClient = ReturnType<typeof createRegistryClient>;

async function headOf({ statusCode, headers, body }: Answer, dump = true): Promise<Head> {
  if (dump) await body.dump();
  return { statusCode, headers };
}

async function readDocument(answer: Answer): Promise<Buffer> {
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

/** The pause that a Retry-After field asks for, in milliseconds; the field has seconds or a date (RFC 9110 section 10.2.3). */
function retryAfter(answer: Answer): number | undefined {
  const text = String(answer.headers["retry-after"] ?? "");
  const pause = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return pause > 0 ? pause : undefined;
}

const DETAIL = 300;
async function failure({ method, repository }: Call, answer: Answer): Promise<PlatformError> {
  const what = `${method} in ${repository}`;
  const text = (await readDocument(answer).catch(() => Buffer.alloc(0))).toString("utf8").slice(0, DETAIL);
  if (answer.statusCode === 404) return new PlatformError("NOT_FOUND", `The image registry has no such thing (${what}).`);
  const hint = [401, 403].includes(answer.statusCode) ? CREDENTIALS_HINT : undefined;
  return new PlatformError("UNAVAILABLE", `The image registry answered ${answer.statusCode} (${what}): ${text}`, { hint });
}
