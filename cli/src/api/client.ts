// Calls the management API with fetch. Every request carries an id; requests that are safe to repeat are repeated while the platform is
// briefly away.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { z } from "zod";
import { CliError } from "../errors/cli-error.ts";
import type { Connection } from "../settings/connection.ts";
import { CLI_VERSION } from "../version.ts";
import { errorOf } from "./problem.ts";

const PAUSES_MS = [150, 400, 1000];
/** Statuses that a gateway answers while the control plane restarts. */
const PASSING = new Set([502, 503]);

/** Whether the same request may be answered a moment later. A quota that is used up has the same status as too many requests at a time. */
async function passes(response: Response): Promise<boolean> {
  if (response.status !== 429) return PASSING.has(response.status);
  const problem: unknown = await response
    .clone()
    .json()
    .catch(() => undefined);
  return (problem as { code?: unknown } | undefined)?.code === "RATE_LIMITED";
}

export interface RequestOptions {
  body?: unknown;
  /** Raw bytes to send; used instead of `body`. */
  bytes?: Uint8Array<ArrayBuffer>;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Not set: every request is repeated except a POST without `idempotency-key`. */
  repeat?: boolean;
}

export function createApiClient(connection: Connection, signal: AbortSignal) {
  async function once(method: string, path: string, options: RequestOptions): Promise<Response> {
    const requestId = randomUUID();
    const headers: Record<string, string> = {
      "user-agent": `fnctl/${CLI_VERSION}`,
      "x-request-id": requestId,
      accept: "application/json, application/x-ndjson, application/problem+json",
    };
    if (connection.token !== undefined) headers["authorization"] = `Bearer ${connection.token}`;
    if (options.bytes !== undefined) headers["content-type"] = "application/octet-stream";
    else if (options.body !== undefined) headers["content-type"] = "application/json";
    const body = options.bytes ?? (options.body === undefined ? null : JSON.stringify(options.body));
    // `redirect: error`: the token must not follow a redirect to somewhere else.
    const init: RequestInit = {
      method,
      headers: { ...headers, ...options.headers },
      body,
      signal: options.signal ?? signal,
      redirect: "error",
    };
    return fetch(connection.url + path, init).catch((cause: unknown) => {
      throw networkError(connection.url, cause, requestId, options.signal ?? signal);
    });
  }

  async function send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    if (connection.token === undefined)
      throw new CliError("NOT_SIGNED_IN", `There is no token for ${connection.url}.`, {
        next: `fnctl login --token-stdin --url ${connection.url} < token-file`,
      });
    const repeatable = options.repeat ?? (method !== "POST" || options.headers?.["idempotency-key"] !== undefined);
    for (const pause of repeatable ? PAUSES_MS : []) {
      const response = await once(method, path, options).catch((error: unknown) => {
        if (error instanceof CliError && error.code === "UNREACHABLE") return undefined;
        throw error;
      });
      if (response !== undefined && !(await passes(response))) return accepted(response);
      await response?.body?.cancel();
      await sleep(pause, undefined, { signal: options.signal ?? signal }).catch(() => undefined);
    }
    return accepted(await once(method, path, options));
  }

  return {
    url: connection.url,
    token: connection.token,
    /** The raw answer; throws on every status of 400 or more. */
    send,
    async json<T extends z.ZodType>(schema: T, method: string, path: string, options?: RequestOptions): Promise<z.infer<T>> {
      const response = await send(method, path, options);
      const requestId = response.headers.get("x-request-id") ?? undefined;
      const value: unknown = await response.json().catch(() => undefined);
      const parsed = schema.safeParse(value);
      if (parsed.success) return parsed.data;
      throw new CliError("BAD_ANSWER", `${connection.url}${path} answered with an unexpected form.`, {
        requestId,
        hint: "The CLI and the platform may differ in version.",
      });
    },
  };
}
export type ApiClient = ReturnType<typeof createApiClient>;

async function accepted(response: Response): Promise<Response> {
  if (response.ok) return response;
  throw await errorOf(response);
}

export function networkError(url: string, cause: unknown, requestId: string | undefined, signal: AbortSignal): CliError {
  if (signal.aborted) return signal.reason instanceof CliError ? signal.reason : new CliError("INTERRUPTED", "Interrupted.", { cause });
  return new CliError("UNREACHABLE", `${url} does not answer: ${innermost(cause)}.`, {
    requestId,
    cause,
    hint: "Check the address, the network, and that the platform runs.",
  });
}

/** fetch hides the reason of a failure in `cause`, and in `errors` when it tried several addresses. */
function innermost(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors[0]);
  if (error instanceof Error && error.cause !== undefined) return innermost(error.cause);
  return error instanceof Error ? error.message || ((error as NodeJS.ErrnoException).code ?? error.name) : String(error);
}
