// The leased instances of one function version, and the bounded queue of requests that wait for them.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Instance } from "./instance.ts";

export interface QueueLimits {
  depth: number;
  /** How long a request waits while the version's first instance is being started, which its `init` may take; milliseconds. */
  startMs: number;
  /** Milliseconds. */
  ms: number;
}

/** A request that waits for a slot. Exactly one of the three methods is called, once. */
export interface Waiter {
  granted(instance: Instance): void;
  refused(error: PlatformError): void;
  /** The version is retired, so the request must look for a slot of another version. */
  moveOn(): void;
  queueTimer: NodeJS.Timeout | undefined;
  /** On the monotonic clock, milliseconds. */
  readonly since: number;
}

export class VersionFleet {
  readonly functionId: string;
  readonly versionId: string;
  max: number;
  slotsHint: number;
  idleTimeoutMs: number;
  /** No route points here any more. */
  retired = false;
  readonly instances: Instance[] = [];
  readonly waiters = new Set<Waiter>();
  leasing = 0;
  leaseFailures = 0;
  private readonly queue: QueueLimits;
  /** Whether the control plane, which starts instances, is known to be there. */
  private readonly starterIsThere: () => boolean;
  lastError: PlatformError | undefined = undefined;
  /** Until then (monotonic clock) `lastError` is everybody's answer, as long as no instance is there: asking again would not change it. */
  refusedUntil = 0;
  retryTimer: NodeJS.Timeout | undefined = undefined;

  constructor(
    functionId: string,
    versionId: string,
    options: { max: number; concurrency: number; idleTimeoutMs: number },
    queue: QueueLimits,
    starterIsThere: () => boolean,
  ) {
    this.starterIsThere = starterIsThere;
    this.queue = queue;
    this.functionId = functionId;
    this.versionId = versionId;
    this.max = options.max;
    this.slotsHint = options.concurrency;
    this.idleTimeoutMs = options.idleTimeoutMs;
  }

  /** Takes a free slot of the least loaded instance; undefined when other requests wait already or none is free. */
  tryAcquire(): Instance | undefined {
    if (this.waiters.size > 0) return undefined;
    const instance = this.leastLoaded();
    if (instance !== undefined) instance.inFlight += 1;
    return instance;
  }

  /** Among equals it picks the first, so that the others become idle and can be given back. */
  private leastLoaded(): Instance | undefined {
    let best: Instance | undefined;
    for (const instance of this.instances) {
      if (instance.hasFreeSlot && (best === undefined || instance.inFlight < best.inFlight)) best = instance;
    }
    return best;
  }

  /** Gives free slots to waiting requests, oldest first. */
  grantWaiting(): void {
    for (const waiter of this.waiters) {
      const instance = this.leastLoaded();
      if (instance === undefined) return;
      instance.inFlight += 1;
      this.remove(waiter);
      waiter.granted(instance);
    }
  }

  enqueue(waiter: Waiter): void {
    if (this.lastError !== undefined && this.open === 0 && performance.now() < this.refusedUntil) return waiter.refused(this.lastError);
    if (this.waiters.size >= this.queue.depth) return waiter.refused(this.saturation());
    waiter.queueTimer = setTimeout(onQueueTimeout, this.queue.ms, this, waiter);
    this.waiters.add(waiter);
  }
  /** A first instance that takes its time is waited for beyond the queue's own time, as long as something is known to start it. */
  timeIsOver(waiter: Waiter): void {
    const starts = this.open === 0 && this.leasing > 0 && this.starterIsThere();
    const left = waiter.since + this.queue.startMs - performance.now();
    if (starts && left > 0) waiter.queueTimer = setTimeout(onQueueTimeout, Math.min(this.queue.ms, left), this, waiter);
    else {
      this.remove(waiter);
      waiter.refused(this.saturation());
    }
  }
  remove(waiter: Waiter): void {
    clearTimeout(waiter.queueTimer);
    waiter.queueTimer = undefined;
    this.waiters.delete(waiter);
  }
  refuseAll(error: PlatformError): void {
    for (const waiter of this.waiters) {
      this.remove(waiter);
      waiter.refused(error);
    }
  }

  /** Number of instances that take requests, even if all their slots are in use now. */
  get open(): number {
    let count = 0;
    for (const instance of this.instances) if (instance.closing === undefined && instance.ended === undefined) count += 1;
    return count;
  }
  get inFlight(): number {
    let count = 0;
    for (const instance of this.instances) count += instance.inFlight;
    return count;
  }
  /** How many more leases the waiting requests need. */
  missing(): number {
    if (this.waiters.size === 0) return 0;
    const busy = this.instances.reduce((sum, instance) => sum + (instance.closing === undefined ? instance.inFlight : 0), 0);
    const desired = Math.min(this.max, Math.ceil((this.waiters.size + busy) / this.slotsHint));
    return desired - this.open - this.leasing;
  }
  /** The error for a request that found no slot in time. */
  saturation(): PlatformError {
    if (this.open === 0 && this.lastError !== undefined) return this.lastError;
    if (this.open === 0)
      return new PlatformError("CAPACITY_UNAVAILABLE", "No instance of the function could be started in time.", {
        hint: "Try again in a few seconds; the operator's log names the cause.",
      });
    return new PlatformError("CONCURRENCY_EXCEEDED", `All ${this.open} instances of the function are busy.`, {
      hint: "Try again later, or raise `max` or `concurrency` in fnctl.yaml.",
    });
  }
}

const onQueueTimeout = (fleet: VersionFleet, waiter: Waiter): void => fleet.timeIsOver(waiter);
