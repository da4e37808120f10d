// An invocation's exchange with an instance: waits for a slot, sends the request, has the answer relayed, and handles every way in which
// that can fail.
//
// There are two time limits. One is for the queue (LIMITS.queueMs). The function's (`timeoutMs`) starts when the request is sent to an
// instance and ends with the last byte of the answer, so a cold start never uses up the function's time.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Route } from "@fnctl/control-plane/contract/internal";
import type { Call, Holder } from "../call/call.ts";
import type { Deadline, Deadlines, Timed } from "../fleet/deadlines.ts";
import type { Departure, Departures } from "../fleet/departures.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Instance } from "../fleet/instance.ts";
import { askAlive, askSettled } from "../fleet/settling.ts";
import type { UploadShares } from "../fleet/upload-shares.ts";
import { Slot, type SlotOwner } from "../fleet/slot.ts";
import type { VersionFleet } from "../fleet/version-fleet.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Metrics } from "../measure/metrics.ts";
import { setExchange, type Invocation } from "./invocation.ts";
import { NOT_YET, Relay, type RelayOwner } from "./relay.ts";
import { badResponse, brokenAnswer, crashed, functionTimeout, isBadResponse, isPoisoning, takesNoConnections } from "./upstream-failure.ts";

export interface ExchangeDeps {
  fleet: Fleet;
  metrics: Metrics;
  departures: Departures;
  deadlines: Deadlines;
  uploads: UploadShares;
  /** Throws when the function no longer exists. */
  chooseVersion: (functionId: string) => { route: Route; fleet: VersionFleet };
}

export class Exchange implements Holder, SlotOwner, RelayOwner, Departure, Timed {
  private readonly deps: ExchangeDeps;
  private readonly invocation: Invocation;
  private readonly call: Call;
  private readonly body: Buffer | undefined;
  private readonly slot: Slot;
  private readonly relay: Relay;
  private instance: Instance | undefined = undefined;
  private deadline: Deadline | undefined = undefined;
  private retried = false;
  private endUpload: (() => void) | undefined = undefined;
  /** What the instance knows it by. */
  private id = "";

  /** `body`: the gathered bytes; undefined when there is no body, or when it is streamed (the caller's `bodyLength` is not 0). */
  constructor(deps: ExchangeDeps, invocation: Invocation, body: Buffer | undefined) {
    this.deps = deps;
    this.invocation = invocation;
    this.call = invocation.call;
    this.body = body;
    this.slot = new Slot(deps.fleet, this);
    this.relay = new Relay(invocation.call, this);
    invocation.call.holder = this;
  }

  begin(): void {
    const { route, fleet } = this.deps.chooseVersion(this.invocation.route.functionId);
    this.call.route = route;
    if (this.streams) this.endUpload ??= this.deps.uploads.begin(route, this.call.caller.address);
    this.slot.take(fleet);
  }
  refused(error: PlatformError): void {
    this.call.fail(error);
  }
  moveOn(): void {
    try {
      this.begin();
    } catch (error) {
      this.call.fail(error);
    }
  }

  granted(instance: Instance): void {
    this.instance = instance;
    this.deps.departures.add(this);
  }
  depart(now: number): void {
    const { call, invocation } = this;
    const instance = this.instance!;
    if (call.phase === "over") return;
    if (instance.ended !== undefined) return this.notStarted();
    call.sentAt = now;
    call.queueMs = this.slot.waitedMs;
    call.instance = instance.lease.instance;
    call.version = instance.lease.version;
    // The cold start is reported with the first request on a new instance only.
    call.coldMs = instance.coldMs;
    instance.coldMs = 0;
    setExchange(invocation.headers, (this.id = instance.nextExchange()));
    this.deadline = this.deps.deadlines.set(this, invocation.route.timeoutMs, call.sentAt);
    try {
      this.slot.connection.dispatch(
        {
          path: invocation.path,
          method: call.method,
          headers: invocation.headers,
          body: this.streams ? call.caller.streamBody() : (this.body ?? null),
        },
        this.relay,
      );
    } catch (error) {
      // undici refuses a request that is invalid in HTTP. readHead should have refused it, so this is our own error.
      call.fail(new PlatformError("BAD_REQUEST", "The request cannot be passed on.", { cause: error }));
    }
  }
  private get streams(): boolean {
    return this.body === undefined && this.call.caller.bodyLength !== 0;
  }

  drained(): void {
    this.relay.resume();
  }
  letGo(whole: boolean): void {
    this.clearDeadline();
    this.endUpload?.();
    if (whole) return this.slot.giveBack();
    this.relay.abort();
    void this.giveBackSettled();
  }
  /** The slot is free when the handler has ended, or at the deadline: `concurrency` counts handlers, and not clients that still wait. */
  private async giveBackSettled(): Promise<void> {
    const left = Math.ceil(this.call.sentAt + this.invocation.route.timeoutMs - performance.now());
    if (this.relay.sent && this.slot.isHeld && left > 0) {
      const settled = await askSettled(this.slot.connection, this.id, left);
      if (settled === "broken") this.slot.closeInstance("broken", "The instance takes no connections.", GATEWAY_LIMITS.lostInstanceGraceMs);
    }
    this.slot.giveBack();
  }
  private clearDeadline(): void {
    if (this.deadline !== undefined) this.deps.deadlines.clear(this.deadline);
  }
  mayGo(): boolean {
    const { connection } = this.slot;
    if (connection.isUsed && !this.deps.departures.mayGo(this.call.sentAt)) return false;
    connection.isUsed = true;
    return true;
  }
  failed(error: Error): void {
    if (error === NOT_YET) return this.takenBack();
    if (error instanceof PlatformError) return this.call.fail(error);
    if (this.call.phase === "asked") return this.notStarted();
    if (!isBadResponse(error)) return void this.broken(error);
    if (isPoisoning(error)) this.slot.closeInstance("poisoned", error.message, GATEWAY_LIMITS.lostInstanceGraceMs);
    this.call.fail(badResponse(error));
  }

  private takenBack(): void {
    this.clearDeadline();
    this.deps.departures.add(this);
  }

  /** The instance never saw the request, so it is sent to another instance, but only once (SECURITY 4.1). */
  private notStarted(): void {
    this.slot.closeInstance("broken", "The instance takes no connections.");
    if (this.retried) return this.call.fail(takesNoConnections());
    this.retried = true;
    this.deps.metrics.retries += 1;
    this.clearDeadline();
    this.slot.takeAnother();
  }

  /**
   * The connection broke after the request was sent. That is no evidence about the instance, which has other requests: it is asked, and one
   * that is there has broken this answer only.
   */
  private async broken(error: Error): Promise<void> {
    this.clearDeadline();
    const looked = await this.slot.doubt(askAlive(this.slot.connection, GATEWAY_LIMITS.doubtMs));
    if (looked === "broken") return this.crashed(error);
    if (this.call.phase !== "over") this.call.fail(brokenAnswer(error));
  }

  /** The control plane may know why the instance ended. */
  private async crashed(error: Error): Promise<void> {
    const instance = this.instance!;
    this.slot.closeInstance("broken", error.message, GATEWAY_LIMITS.lostInstanceGraceMs);
    this.slot.giveBack();
    const reason = await Promise.race([
      instance.endReason,
      new Promise<string>((resolve) => setTimeout(resolve, GATEWAY_LIMITS.endReasonMs, "").unref()),
    ]);
    if (this.call.phase === "over") return;
    this.call.reason = reason || (instance.ended ?? "");
    this.call.fail(crashed(this.invocation.route.access === "private" ? reason : ""));
  }

  /**
   * SECURITY H3: the answer is 504, the slot is lost, and the instance gets no new requests. But this is so only if the function is late:
   * an instance whose client sends or reads slowly is not closed, because otherwise any client could have instances stopped.
   */
  deadlineReached(): void {
    const { call } = this;
    const { timeoutMs } = this.invocation.route;
    if (call.phase === "over") return;
    if (this.streams && call.bodyDoneAt === 0)
      return call.fail(new PlatformError("REQUEST_TIMEOUT", `The request's body did not arrive within ${timeoutMs} ms.`));
    const functionHad = performance.now() - Math.max(call.sentAt, call.bodyDoneAt) - this.relay.pausedMs;
    if (functionHad >= timeoutMs / 2)
      this.slot.closeInstance("timeout", `A request took longer than ${timeoutMs} ms.`, GATEWAY_LIMITS.lostInstanceGraceMs);
    call.fail(functionTimeout(timeoutMs));
  }
}
