// A whole ingress with a scripted control plane and real servers as instances, in one temporary folder.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders, type RequestListener, type RequestOptions } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Lease, Route } from "@fnctl/control-plane/contract/internal";
import { startIngress, type Ingress, type IngressHooks } from "../ingress/ingress.ts";
import { readIngressSettings } from "../ingress/settings.ts";
import { ingressEnvironment, makeLease, makeRoute, makeToken, startControlDouble, type ControlDouble } from "./control-double.ts";
import { startRawUpstream, startUpstream, type Upstream } from "./upstream.ts";

export const TOKEN = "fnctl_test_0123456789abcdef0123456789abcdef";
export const OTHER_TOKEN = "fnctl_test_ffffffffffffffffffffffffffffffff";
export const SECRET = "s".repeat(64);

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  trailers: NodeJS.Dict<string>;
  body: string;
}

export class Platform {
  readonly folder = mkdtempSync(join(tmpdir(), "gw-"));
  readonly warnings: string[] = [];
  control!: ControlDouble;
  ingress!: Ingress;
  port = 0;
  private readonly upstreams: Upstream[] = [];
  private count = 0;

  path(name: string): string {
    return join(this.folder, name);
  }
  async start(
    env: Record<string, string> = {},
    queue?: { depth: number; ms: number; startMs?: number },
    other: Pick<IngressHooks, "limits" | "api"> = {},
  ): Promise<this> {
    writeFileSync(this.path("secret"), SECRET);
    this.control = await startControlDouble(this.path("control"), SECRET);
    const settings = readIngressSettings({ ...ingressEnvironment((name) => this.path(name)), ...env });
    this.ingress = await startIngress(settings, SECRET, {
      warn: (message, facts) => this.warnings.push(`${message} ${JSON.stringify(facts)}`),
      ...(queue === undefined ? {} : { queue: { startMs: queue.ms, ...queue } }),
      ...other,
    });
    this.port = this.ingress.address.kind === "tcp" ? this.ingress.address.port : 0;
    await until(() => this.control.streams > 0);
    return this;
  }
  async stop(): Promise<void> {
    await this.ingress.drain();
    await this.control.stop();
    await Promise.all(this.upstreams.map((upstream) => upstream.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }
  async upstream(listener: RequestListener, settled?: RequestListener): Promise<Upstream> {
    const upstream = await startUpstream(this.path(`u${(this.count += 1)}`), listener, settled);
    this.upstreams.push(upstream);
    return upstream;
  }
  async rawUpstream(onSocket: (socket: Socket) => void): Promise<Upstream> {
    const upstream = await startRawUpstream(this.path(`u${(this.count += 1)}`), onSocket);
    this.upstreams.push(upstream);
    return upstream;
  }
  /** Makes a function whose leases are all for this upstream; private functions accept TOKEN. Resolves when ingress knows the function. */
  async serve(upstream: Upstream, overrides: Partial<Route> = {}, lease: Partial<Lease> = {}): Promise<Route> {
    const route = makeRoute(overrides);
    this.control.onLease = (request) => makeLease(request, upstream.path, lease);
    await this.publish(route);
    return route;
  }
  /** Each lease is for the next of these upstreams, and from then on for the last one. */
  leaseInTurn(...upstreams: Upstream[]): void {
    this.control.onLease = (request) => makeLease(request, (upstreams.length > 1 ? upstreams.shift()! : upstreams[0]!).path);
  }
  /** Why leases were given back, in order. */
  reasons(): string[] {
    return this.control.released.map((release) => release.reason);
  }
  async publish(route: Route): Promise<void> {
    this.control.send({ type: "token", token: makeToken(TOKEN, { tenantId: route.tenantId }) });
    this.control.send({ type: "token", token: makeToken(OTHER_TOKEN) });
    this.control.send({ type: "route", route });
    await this.settled();
  }
  /** Resolves when ingress has read the change stream up to now, which a marker route at the end of the stream shows. */
  async settled(): Promise<void> {
    const marker = makeRoute({ function: `m${(this.count += 1)}`, tenant: "marker", access: "public", timeoutMs: 100 });
    const before = await this.gauge("routes");
    this.control.send({ type: "route", route: marker });
    for (let i = 0; i < 500 && (await this.gauge("routes")) === before; i += 1) await sleep(2);
    this.control.send({ type: "route-removed", functionId: marker.functionId });
    await sleep(5);
  }
  async gauge(name: string): Promise<number> {
    const { body } = await this.admin("GET", "/metrics");
    return Number(new RegExp(`^fnctl_ingress_${name} (\\S+)$`, "m").exec(body)?.[1]);
  }
  admin(method: string, path: string, secret: string | undefined = SECRET): Promise<Answer> {
    return send({
      socketPath: this.path("admin"),
      method,
      path,
      headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
    });
  }
  /** Sends a request to the function `hello--acme`, unless `host` names another. */
  call(
    path: string,
    options: {
      method?: string;
      host?: string;
      token?: string | null;
      headers?: Record<string, string | string[]>;
      body?: string | Buffer;
    } = {},
  ): Promise<Answer> {
    const headers: Record<string, string | string[]> = { host: options.host ?? "hello--acme.localhost", ...options.headers };
    if (options.token !== null) headers["authorization"] ??= `Bearer ${options.token ?? TOKEN}`;
    return send({ host: "127.0.0.1", port: this.port, method: options.method ?? "GET", path, headers }, options.body);
  }
  /** Sends bytes, and resolves with all bytes that come until the other side closes. */
  raw(bytes: string | Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, "127.0.0.1");
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      socket.on("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
      socket.on("error", reject);
      socket.write(bytes);
    });
  }
  log(): Record<string, unknown>[] {
    return readFileSync(this.path("access.log"), "utf8")
      .trim()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

export function send(options: RequestOptions, body?: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          trailers: response.trailers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until the condition is true; fails with the condition's source text when that takes longer than `ms`. */
export async function until(condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`never came true: ${condition.toString()}`);
    await sleep(5);
  }
}

/** Code of a problem document. */
export const codeOf = (answer: { body: string }): string => (JSON.parse(answer.body) as { code: string }).code;
