// A double of the control plane's internal listener: it speaks the contract over a real Unix socket, and the test sets its answers.
import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { z } from "zod";
import { PlatformError, toProblem } from "@fnctl/control-plane/contract/errors";
import {
  INTERNAL_PATHS,
  appliedRequestSchema,
  changeSchema,
  leaseRequestSchema,
  releaseRequestSchema,
  renewRequestSchema,
  type Change,
  type Lease,
  type Route,
  type TokenRecord,
} from "@fnctl/control-plane/contract/internal";

export type LeaseRequest = z.infer<typeof leaseRequestSchema>;
type Releases = z.infer<typeof releaseRequestSchema>["leases"];
/** A change without its position. */
type Unplaced<T> = T extends unknown ? Omit<T, "at"> : never;

export interface ControlDouble {
  readonly secret: string;
  readonly leaseRequests: LeaseRequest[];
  readonly released: Releases;
  readonly renewals: z.infer<typeof renewRequestSchema>[];
  readonly sinces: (string | null)[];
  /** The current position of the stream, and the positions that the gateway has reported as applied. */
  position(): string;
  readonly applied: string[];
  /** Routes and tokens of the snapshot. */
  readonly routes: Map<string, Route>;
  readonly tokens: Map<string, TokenRecord>;
  onLease: (request: LeaseRequest) => Promise<Lease> | Lease;
  onRelease: (leases: Releases) => { leaseId: string; reason: string; detail: string }[];
  lost: string[];
  leaseTtlMs: number;
  send(change: Unplaced<Change>): void;
  /** Cuts every change stream. */
  cutStreams(): void;
  readonly streams: number;
  stop(): Promise<void>;
  start(): Promise<void>;
}

const sha256Hex = (text: string): string => createHash("sha256").update(text).digest("hex");

export async function startControlDouble(path: string, secret: string): Promise<ControlDouble> {
  const double = new Double(path, secret);
  await double.start();
  return double;
}

class Double implements ControlDouble {
  readonly secret: string;
  readonly leaseRequests: LeaseRequest[] = [];
  readonly released: Releases = [];
  readonly renewals: z.infer<typeof renewRequestSchema>[] = [];
  readonly sinces: (string | null)[] = [];
  readonly applied: string[] = [];
  readonly routes = new Map<string, Route>();
  readonly tokens = new Map<string, TokenRecord>();
  onLease: ControlDouble["onLease"] = () => {
    throw new PlatformError("CAPACITY_UNAVAILABLE", "The test grants no lease.");
  };
  onRelease: ControlDouble["onRelease"] = () => [];
  lost: string[] = [];
  leaseTtlMs = 15_000;
  private readonly path: string;
  private readonly open = new Set<ServerResponse>();
  private server: Server | undefined;
  private seq = 0;

  constructor(path: string, secret: string) {
    this.path = path;
    this.secret = secret;
  }
  async start(): Promise<void> {
    this.server = createServer((request, response) => void this.answer(request, response));
    await new Promise<void>((resolve) => this.server!.listen(this.path, resolve));
  }
  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  }
  get streams(): number {
    return this.open.size;
  }
  cutStreams(): void {
    for (const stream of this.open) stream.destroy();
  }
  send(change: Unplaced<Change>): void {
    if (change.type === "route") this.routes.set(change.route.functionId, change.route);
    if (change.type === "route-removed") this.routes.delete(change.functionId);
    if (change.type === "token") this.tokens.set(change.token.tokenId, change.token);
    if (change.type === "token-removed") this.tokens.delete(change.tokenId);
    for (const stream of this.open) this.line(stream, change);
  }
  position = (): string => String(this.seq);
  private line(stream: ServerResponse, change: Unplaced<Change>): void {
    stream.write(`${JSON.stringify(changeSchema.parse({ at: String((this.seq += 1)), ...change }))}\n`);
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (request.headers.authorization !== `Bearer ${this.secret}`) throw new PlatformError("UNAUTHENTICATED", "no secret");
      const url = new URL(request.url ?? "/", "http://control");
      if (request.method === "GET" && url.pathname === INTERNAL_PATHS.changes) return this.stream(url, response);
      const result = await this.post(url.pathname, await readJson(request));
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(result));
    } catch (error) {
      const problem = toProblem(error);
      response.writeHead(problem.status, { "content-type": "application/problem+json" });
      response.end(JSON.stringify(problem));
    }
  }
  private stream(url: URL, response: ServerResponse): void {
    this.sinces.push(url.searchParams.get("since"));
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    this.open.add(response);
    response.on("close", () => this.open.delete(response));
    this.line(response, { type: "snapshot-begin" });
    for (const route of this.routes.values()) this.line(response, { type: "route", route });
    for (const token of this.tokens.values()) this.line(response, { type: "token", token });
    this.line(response, { type: "snapshot-end" });
  }
  private async post(path: string, body: unknown): Promise<unknown> {
    if (path === INTERNAL_PATHS.leases) {
      const request = leaseRequestSchema.parse(body);
      this.leaseRequests.push(request);
      return this.onLease(request);
    }
    if (path === INTERNAL_PATHS.applied) {
      this.applied.push(appliedRequestSchema.parse(body).at);
      return {};
    }
    if (path === INTERNAL_PATHS.renew) {
      this.renewals.push(renewRequestSchema.parse(body));
      return { expiresAt: Date.now() + this.leaseTtlMs, lost: this.lost };
    }
    if (path === INTERNAL_PATHS.release) {
      const { leases } = releaseRequestSchema.parse(body);
      this.released.push(...leases);
      return { ended: this.onRelease(leases) };
    }
    throw new PlatformError("NOT_FOUND", path);
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}

export function makeRoute(overrides: Partial<Route> = {}): Route {
  return {
    tenantId: randomUUID(),
    tenant: "acme",
    functionId: randomUUID(),
    function: "hello",
    targets: [{ versionId: randomUUID(), version: 1, weight: 100 }],
    access: "private",
    isolation: "gvisor",
    timeoutMs: 5_000,
    idleTimeoutMs: 60_000,
    concurrency: 10,
    min: 0,
    max: 3,
    ...overrides,
  };
}
export function makeLease(request: LeaseRequest, socketPath: string, overrides: Partial<Lease> = {}): Lease {
  const id = randomUUID();
  return {
    leaseId: `lease-${id}`,
    instance: `inst-${id}`,
    functionId: request.functionId,
    versionId: request.versionId,
    version: 1,
    address: { kind: "unix", path: socketPath },
    slots: 10,
    epoch: 1,
    expiresAt: Date.now() + 15_000,
    timing: { startMs: 1, loadMs: 2, initMs: 3 },
    ...overrides,
  };
}
export function makeToken(secret: string, overrides: Partial<TokenRecord> = {}): TokenRecord {
  return { tokenId: randomUUID(), hash: sha256Hex(secret), tenantId: randomUUID(), scopes: ["invoke"], expiresAt: null, ...overrides };
}

/** The environment of an ingress whose files and sockets are in one folder; it listens on a free port. */
export const ingressEnvironment = (at: (name: string) => string): Record<string, string> => ({
  FNCTL_INGRESS_LISTEN: "127.0.0.1:0",
  FNCTL_CONTROL_SOCKET: at("control"),
  FNCTL_API_SOCKET: at("api"),
  FNCTL_ADMIN_SOCKET: at("admin"),
  FNCTL_CALLS_LISTEN: at("calls"),
  FNCTL_INTERNAL_SECRET_FILE: at("secret"),
  FNCTL_ACCESS_LOG: at("access.log"),
});
