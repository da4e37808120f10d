// Calls to the control plane's internal listener. Every answer is parsed; every failure is a coded error.
import { randomUUID } from "node:crypto";
import type { EndpointDial } from "@fnctl/control-plane/contract/endpoint";
import { PlatformError, fromProblem } from "@fnctl/control-plane/contract/errors";
import {
  INTERNAL_PATHS,
  leaseSchema,
  releaseResponseSchema,
  renewResponseSchema,
  type Lease,
} from "@fnctl/control-plane/contract/internal";
import { Pool } from "undici";
import { z } from "zod";
import type {
  leaseRequestSchema,
  releaseRequestSchema,
  releaseResponseSchema as ReleaseResponse,
  renewRequestSchema,
  renewResponseSchema as RenewResponse,
} from "@fnctl/control-plane/contract/internal";
import { GATEWAY_LIMITS } from "./limits.ts";

/** The client adds its own `holder`: one name per life of the process, for leases and for the change stream. */
type Held<T extends z.ZodType> = Omit<z.infer<T>, "holder">;

export interface ControlClient {
  lease(request: Held<typeof leaseRequestSchema>): Promise<Lease>;
  renew(request: Held<typeof renewRequestSchema>): Promise<z.infer<typeof RenewResponse>>;
  release(request: Held<typeof releaseRequestSchema>): Promise<z.infer<typeof ReleaseResponse>>;
  /** Everything up to this position of the change stream is served. */
  applied(at: string): Promise<void>;
  /** The change stream's lines as they come. `signal` ends it. */
  changes(since: string | undefined, signal: AbortSignal): Promise<AsyncIterable<Buffer>>;
  close(): Promise<void>;
}

export function createControlClient(options: { dial: EndpointDial; secret: string }): ControlClient {
  // Leases wait for cold starts, so they must not stand in the way of renewals: no cap on connections.
  const pool = new Pool(options.dial.origin, { connect: options.dial.connect, connections: null, allowH2: false });
  const holder = `ingress-${randomUUID()}`;
  const headers = { authorization: `Bearer ${options.secret}`, "content-type": "application/json" };

  async function post<T extends z.ZodType>(path: string, body: unknown, schema: T, timeoutMs: number): Promise<z.infer<T>> {
    const response = await pool
      .request({ path, method: "POST", headers, body: JSON.stringify(body), headersTimeout: timeoutMs, bodyTimeout: timeoutMs })
      .catch(unreachable);
    const answer: unknown = await response.body.json().catch(() => undefined);
    if (response.statusCode >= 300) throw fromProblem(answer);
    const parsed = schema.safeParse(answer);
    if (!parsed.success)
      throw new PlatformError("INTERNAL", `The control plane's answer to ${path} is not understood.`, { cause: parsed.error });
    return parsed.data;
  }

  return {
    lease: (request) => post(INTERNAL_PATHS.leases, { holder, ...request }, leaseSchema, request.waitMs + GATEWAY_LIMITS.controlCallMs),
    renew: (request) => post(INTERNAL_PATHS.renew, { holder, ...request }, renewResponseSchema, GATEWAY_LIMITS.controlCallMs),
    release: (request) => post(INTERNAL_PATHS.release, { holder, ...request }, releaseResponseSchema, GATEWAY_LIMITS.controlCallMs),
    async applied(at) {
      await post(INTERNAL_PATHS.applied, { holder, at }, z.object({}), GATEWAY_LIMITS.controlCallMs);
    },
    async changes(since, signal) {
      const query = new URLSearchParams({ holder, ...(since === undefined ? {} : { since }) });
      const response = await pool
        .request({
          path: `${INTERNAL_PATHS.changes}?${query.toString()}`,
          method: "GET",
          headers,
          signal,
          headersTimeout: GATEWAY_LIMITS.controlCallMs,
          bodyTimeout: 0,
        })
        .catch(unreachable);
      if (response.statusCode === 200) return response.body;
      throw fromProblem(await response.body.json().catch(() => undefined));
    },
    close: () => pool.destroy(),
  };
}

const unreachable = (cause: unknown): never => {
  throw new PlatformError("UNAVAILABLE", "The control plane is not reachable.", {
    cause,
    hint: "It is started again by the supervisor; requests to running instances go on.",
  });
};
