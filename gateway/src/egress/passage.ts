// One way through the proxy, of a CONNECT or of a plain request: it is checked, dialled, counted under its source's caps, and logged when it ends.
import { isIP, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { judgeTarget } from "@fnctl/control-plane/contract/egress-rules";
import { PlatformError, type Problem } from "@fnctl/control-plane/contract/errors";
import type { Pace } from "@fnctl/control-plane/service/pace";
import type { Dial, Dialled, MayDial } from "./dial.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import type { Policies } from "./policies.ts";
import { egressProblem, refusalOf } from "./refusal.ts";
import type { Meter, Metered } from "./meter.ts";
import type { Counted, TunnelCount } from "./tunnel-count.ts";
import { startRecord, type ConnectionRecord, type Source } from "./source.ts";
import type { Target } from "./target.ts";

export interface TunnelDeps {
  dial: Dial;
  mayDial: MayDial;
  policies: Policies;
  pace: Pace;
  /** Of pieces of plain messages' bodies. */
  pieces: Pace;
  count: TunnelCount;
  meter: Meter;
  log: (record: ConnectionRecord) => void;
}

/** Who asked, as far as the way through needs it. */
export interface Client {
  isGone(): boolean;
  /** Answers with a refusal; asked for once, and only before `answered`. */
  refuse(problem: Omit<Problem, "facts">): void;
  /** `broken`: what was carried has not come to its own end. */
  destroy(broken: boolean): void;
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

/** The outcome of what has come to its own end. */
export const CLOSED = "closed";

/** Nobody takes a part for the whole: what was broken off ends with a reset where there is one. A Unix socket has none. */
export function breakOff(client: Duplex, broken: boolean): void {
  if (broken && client instanceof Socket && client.remoteFamily !== undefined) client.resetAndDestroy();
  else client.destroy();
}

export class Passage {
  readonly record: ConnectionRecord;
  private readonly deps: TunnelDeps;
  private readonly source: Source;
  private readonly client: Client;
  private readonly startedAt = performance.now();
  private target: Target | undefined = undefined;
  private upstream: Socket | undefined;
  private idle: NodeJS.Timeout | undefined;
  private longest: NodeJS.Timeout | undefined;
  /** Ends the look for an address and a connection for whoever has left. */
  private readonly gone = new AbortController();
  /** A dial goes on, which is a socket, whether or not its client is still there. */
  private opening = true;
  private counted: Counted | undefined = undefined;
  private metered: Metered | undefined = undefined;
  private isAnswered = false;
  private refused = false;
  private ended = false;

  constructor(deps: TunnelDeps, source: Source, client: Client) {
    this.deps = deps;
    this.source = source;
    this.client = client;
    this.record = startRecord(source);
    source.tunnels.add(this);
  }

  /**
   * Hands a connection to the target on, or refuses the client. `asked`: the target as the client wrote it, for the log; `read` may throw.
   * Every error of `carry` is a refusal, too, for as long as the client was not answered.
   */
  async run(asked: string, read: () => Target, carry: (target: Target, dialled: Dialled) => void): Promise<void> {
    this.record.target = asked.slice(0, 300);
    try {
      const target = this.begin(read);
      await turnOf(this.deps, this.source, this.gone.signal);
      if (this.ended) return;
      await this.open(target, carry);
    } catch (error) {
      this.refuse(error);
    } finally {
      this.opening = false;
      if (this.ended) this.uncount();
    }
  }

  private begin(read: () => Target): Target {
    const { settings, tunnels, bytes } = this.source;
    if (tunnels.size > settings.maxConnections)
      throw new PlatformError("RATE_LIMITED", `More than ${settings.maxConnections} connections at once.`);
    if (bytes >= settings.maxBytes) throw bytesUsedUp(settings.maxBytes);
    return read();
  }

  private async open(target: Target, carry: (target: Target, dialled: Dialled) => void): Promise<void> {
    this.target = target;
    this.requireAllowed(target);
    const { tenantId, functionId } = this.source.settings;
    const counted = { tenant: tenantId ?? "", function: functionId ?? "" };
    this.deps.count.begin(counted);
    this.counted = counted;
    this.metered = this.deps.meter.begin(this.source.settings);
    const dialled = await this.deps.dial(target, this.source, this.gone.signal);
    dialled.socket.on("error", () => undefined); // whoever carries listens to its end
    if (!this.mayCarry(target, dialled)) return void dialled.socket.destroy();
    this.upstream = dialled.socket;
    this.record.address = dialled.address;
    this.idle = setTimeout(() => this.cut(silent(target)), EGRESS_LIMITS.idleMs);
    carry(target, dialled);
  }

  private requireAllowed({ host, port }: Target): void {
    const judgement = judgeTarget(this.deps.policies.rulesFor(this.source.settings), host, port);
    if (judgement !== "allowed") throw refusalOf(judgement, host, port);
  }
  /** A dial takes its time, and what rules and the operator say may have changed meanwhile. */
  private mayCarry(target: Target, { address }: Dialled): boolean {
    if (this.ended || this.refused) return false;
    if (this.isOpen(address, target)) return true;
    this.refuse(new PlatformError("FORBIDDEN", `${target.host} leads to an address that functions may not reach any more.`));
    return false;
  }
  private isOpen(address: string, target: Target): boolean {
    return isIP(address) === 0 || this.deps.mayDial(this.source.settings, address, target);
  }
  /** Rules have changed: what they forbid now ends now. */
  lookAgain(): void {
    if (this.target === undefined || this.ended) return;
    try {
      this.requireAllowed(this.target);
    } catch (error) {
      return this.cut(error);
    }
    if (!this.isOpen(this.record.address, this.target)) this.end("cut: the address was closed.");
  }

  /** The client has been told that it is served: it cannot be refused any more, only cut. */
  answered(): void {
    this.isAnswered = true;
  }

  /** Whoever has its answer cannot be told any more, but the record says why it was ended. */
  private cut(error: unknown): void {
    if (this.isAnswered) return this.end(`cut: ${error instanceof Error ? error.message : ""}`);
    this.refuse(error);
  }

  /** Counts bytes; false when a cap is reached and no more may pass. */
  count(bytes: number, direction: "bytesUp" | "bytesDown"): boolean {
    this.record[direction] += bytes;
    this.source.bytes += bytes;
    this.idle?.refresh();
    const { maxBytes } = this.source.settings;
    const over = this.metered?.add(bytes, direction) ?? (this.source.bytes > maxBytes ? bytesUsedUp(maxBytes) : undefined);
    if (over !== undefined) this.cut(over);
    return over === undefined;
  }

  /** Refuses by an HTTP answer, and lets go of what was dialled. */
  refuse(error: unknown): void {
    if (this.refused) return;
    // What a name leads to inside is for the operator's log, and not for who guesses names.
    const { facts, problem } = egressProblem(error);
    if (typeof facts?.["address"] === "string") this.record.address = facts["address"];
    if (this.isAnswered || this.ended || this.client.isGone()) return this.end(problem.code);
    this.refused = true;
    // A refused one does not count while its client reads the reason.
    this.source.tunnels.delete(this);
    this.record.outcome = `${problem.code}: ${problem.detail}`;
    this.client.refuse(problem);
    this.gone.abort();
    this.upstream?.destroy();
    this.longest = setTimeout(() => this.end(problem.code), EGRESS_LIMITS.refusalMs);
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
    this.client.destroy(this.isAnswered && outcome !== CLOSED);
    this.upstream?.destroy();
    this.record.outcome ||= outcome;
    this.record.durationMs = Math.round(performance.now() - this.startedAt);
    this.metered?.end(this.record.durationMs);
    const record = this.isAnswered ? this.record : this.source.refusals.admit(this.record);
    if (record !== undefined) this.deps.log(record);
  }
}

const bytesUsedUp = (bytes: number): PlatformError => new PlatformError("QUOTA_EXCEEDED", `The limit of ${bytes} bytes is used up.`);
const silent = ({ host, port }: Target): PlatformError =>
  new PlatformError("UNAVAILABLE", `Nothing was said to or by ${host}:${port} for ${EGRESS_LIMITS.idleMs / 60_000} minutes.`);
