// One CONNECT: it is checked, dialled, carried both ways under its source's caps, and logged when it ends.
import type { Duplex } from "node:stream";
import { isIP, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { judgeTarget } from "@fnctl/control-plane/contract/egress-rules";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Pace } from "@fnctl/control-plane/service/pace";
import type { Dial, Dialled, MayDial } from "./dial.ts";
import { judgeFirstFlight } from "./first-flight.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import type { Policies } from "./policies.ts";
import { egressProblem, problemAnswer, refusalOf } from "./refusal.ts";
import type { TunnelCount } from "./tunnel-count.ts";
import { startRecord, type ConnectionRecord, type Source } from "./source.ts";
import { readTarget, type Target } from "./target.ts";

export interface TunnelDeps {
  dial: Dial;
  mayDial: MayDial;
  policies: Policies;
  pace: Pace;
  count: TunnelCount;
  log: (record: ConnectionRecord) => void;
}

/** `authority` and `host` as the client sent them; `client` may be written until it is destroyed. */
export async function runTunnel(
  deps: TunnelDeps,
  source: Source,
  request: { authority: string; host: string | undefined; client: Duplex; head: Buffer },
): Promise<void> {
  const tunnel = new Tunnel(deps, source, request.client);
  try {
    await tunnel.open(request.authority, request.host, request.head);
  } catch (error) {
    tunnel.refuse(error);
  } finally {
    tunnel.settled();
  }
}

/** A question of the tenant's, whichever of its sandboxes asks, is answered now: its turn has come, and its rules are known. */
export async function turnOf(
  { pace, policies }: Pick<TunnelDeps, "pace" | "policies">,
  { instance, settings }: Source,
  gone: AbortSignal,
): Promise<void> {
  const wait = pace.wait(settings.tenantId ?? instance);
  if (wait > 0) await sleep(wait, undefined, { signal: gone });
  if (settings.kind === "function") await policies.known();
}

class Tunnel {
  private readonly deps: TunnelDeps;
  private readonly source: Source;
  private readonly client: Duplex;
  private readonly startedAt = performance.now();
  private readonly record: ConnectionRecord;
  private target: Target | undefined = undefined;
  private upstream: Socket | undefined;
  private idle: NodeJS.Timeout | undefined;
  private longest: NodeJS.Timeout | undefined;
  /** Ends the look for an address and a connection for whoever has left. */
  private readonly gone = new AbortController();
  /** A dial goes on, which is a socket, whether or not its client is still there. */
  private opening = true;
  private counted: string | undefined = undefined;
  private answered = false;
  private refused = false;
  private ended = false;

  constructor(deps: TunnelDeps, source: Source, client: Duplex) {
    this.deps = deps;
    this.source = source;
    this.client = client;
    this.record = startRecord(source);
    source.tunnels.add(this);
    client.on("error", () => this.end("client-error"));
    client.once("close", () => this.end("closed"));
  }

  async open(authority: string, host: string | undefined, head: Buffer): Promise<void> {
    this.record.target = authority.slice(0, 300);
    const { settings } = this.source;
    if (this.source.tunnels.size > settings.maxConnections)
      throw new PlatformError("RATE_LIMITED", `More than ${settings.maxConnections} connections at once.`);
    if (this.source.bytes >= settings.maxBytes)
      throw new PlatformError("QUOTA_EXCEEDED", `The limit of ${settings.maxBytes} bytes is used up.`);
    const target = readTarget(authority);
    if (host !== undefined && host.toLowerCase() !== authority.toLowerCase() && host.toLowerCase() !== target.host)
      throw new PlatformError("FORBIDDEN", "The Host field is not the CONNECT target.");
    await turnOf(this.deps, this.source, this.gone.signal);
    if (this.ended) return;
    this.target = target;
    this.requireAllowed(target);
    this.deps.count.begin(settings.tenantId ?? "");
    this.counted = settings.tenantId ?? "";
    const dialled = await this.deps.dial(target, this.source, this.gone.signal);
    if (!this.mayCarry(target, dialled)) return void dialled.socket.on("error", () => {}).destroy();
    this.carry(target, dialled, head);
  }

  private requireAllowed({ host, port }: Target): void {
    const judgement = judgeTarget(this.deps.policies.rulesFor(this.source.settings), host, port);
    if (judgement !== "allowed") throw refusalOf(judgement, host, port);
  }
  /** A dial takes its time, and what rules and the operator say may have changed meanwhile. */
  private mayCarry(target: Target, { address }: Dialled): boolean {
    if (this.ended || this.refused) return false;
    if (this.isOpen(address, target.port)) return true;
    this.refuse(new PlatformError("FORBIDDEN", `${target.host} leads to an address that functions may not reach any more.`));
    return false;
  }
  private isOpen(address: string, port: number): boolean {
    return isIP(address) === 0 || this.deps.mayDial(this.source.settings, address, port);
  }
  /** Rules have changed: what they forbid now ends now. */
  lookAgain(): void {
    if (this.target === undefined || this.ended) return;
    try {
      this.requireAllowed(this.target);
    } catch (error) {
      if (this.answered) return this.end(`cut: ${error instanceof Error ? error.message : ""}`);
      this.refuse(error);
      return this.gone.abort();
    }
    if (!this.isOpen(this.record.address, this.target.port)) this.end("cut: the address was closed.");
  }

  private carry(target: Target, { socket, address, early }: Dialled, head: Buffer): void {
    this.upstream = socket;
    this.record.address = address;
    this.answered = true;
    this.idle = setTimeout(() => this.end("idle"), EGRESS_LIMITS.idleMs);
    this.client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    socket.on("error", () => this.end("upstream-error"));
    socket.once("close", () => this.upstreamClosed());
    if (early.length > 0 && this.count(early, "bytesDown")) this.client.write(early);
    socket.on("data", (chunk: Buffer) => this.count(chunk, "bytesDown"));
    socket.pipe(this.client);
    this.readFirstFlight(target, socket, head);
  }

  /** No byte of the client is sent on before its first bytes have named the target host. */
  private readFirstFlight(target: Target, socket: Socket, head: Buffer): void {
    let bytes = head;
    const late = setTimeout(
      () => (bytes.length > 0 || target.port === 443 ? this.end("no-first-flight") : undefined),
      EGRESS_LIMITS.firstFlightMs,
    );
    const pass = (): void => {
      clearTimeout(late);
      this.client.off("data", onData).off("end", pass);
      this.client.on("data", (chunk: Buffer) => this.count(chunk, "bytesUp"));
      if (bytes.length > 0 && !this.count(bytes, "bytesUp")) return;
      if (bytes.length > 0) socket.write(bytes);
      this.client.pipe(socket);
    };
    const judge = (): void => {
      try {
        if (bytes.length > 0 && judgeFirstFlight(bytes, target)) pass();
      } catch (error) {
        clearTimeout(late);
        this.end(error instanceof PlatformError ? `refused: ${error.message}` : "refused");
      }
    };
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      judge();
    };
    this.client.once("close", () => clearTimeout(late));
    this.client.on("data", onData);
    this.client.once("end", () => socket.end());
    judge();
  }

  /** Counts the bytes; false when the cap is reached and the tunnel has been ended. */
  private count(chunk: Buffer, direction: "bytesUp" | "bytesDown"): boolean {
    this.record[direction] += chunk.length;
    this.source.bytes += chunk.length;
    this.idle?.refresh();
    if (this.source.bytes <= this.source.settings.maxBytes) return true;
    this.end("byte-limit");
    return false;
  }

  private upstreamClosed(): void {
    // Bytes that were read already still flow to the client; the tunnel ends when the client closes.
    if (!this.client.writableEnded) this.client.end();
    if (this.client.destroyed) this.end("closed");
  }

  /** Refuses a tunnel that is not established yet, by an HTTP answer. */
  refuse(error: unknown): void {
    if (this.refused) return;
    // What a name leads to inside is for the operator's log, and not for who guesses names.
    const { facts, problem } = egressProblem(error);
    if (typeof facts?.["address"] === "string") this.record.address = facts["address"];
    if (this.answered || this.ended || this.client.destroyed) return this.end(problem.code);
    this.refused = true;
    // A refused tunnel does not count while its client reads the reason.
    this.source.tunnels.delete(this);
    this.record.outcome = `${problem.code}: ${problem.detail}`;
    this.client.end(problemAnswer(problem));
    this.client.resume();
    this.longest = setTimeout(() => this.end(problem.code), 1_000);
  }

  /** It was opened, or refused; from now on it counts for as long as it is there. */
  settled(): void {
    this.opening = false;
    if (this.ended) this.uncount();
  }
  private uncount(): void {
    this.source.tunnels.delete(this);
    if (this.counted !== undefined) this.deps.count.end(this.counted);
    this.counted = undefined;
  }

  end(outcome: string): void {
    if (this.ended) return;
    this.ended = true;
    this.gone.abort();
    clearTimeout(this.idle);
    clearTimeout(this.longest);
    if (!this.opening) this.uncount();
    this.client.destroy();
    this.upstream?.destroy();
    this.record.outcome ||= outcome;
    this.record.durationMs = Math.round(performance.now() - this.startedAt);
    const record = this.answered ? this.record : this.source.refusals.admit(this.record);
    if (record !== undefined) this.deps.log(record);
  }
}
