// One request's slot on an instance: the request waits for it in the version's queue, holds it, and gives it back once.
import type { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Connection } from "./connection.ts";
import type { Fleet } from "./fleet.ts";
import type { Instance, ReleaseReason } from "./instance.ts";
import type { VersionFleet, Waiter } from "./version-fleet.ts";

/** After each `take` exactly one of the three is called, once, unless the slot was given back before. */
export interface SlotOwner {
  granted(instance: Instance): void;
  refused(error: PlatformError): void;
  /** The version was retired while the request waited, which must take a slot of another version. */
  moveOn(): void;
}

export class Slot implements Waiter {
  queueTimer: NodeJS.Timeout | undefined = undefined;
  /** How long the last `take` waited, milliseconds. */
  waitedMs = 0;
  private readonly fleets: Fleet;
  private readonly owner: SlotOwner;
  private fleet: VersionFleet | undefined = undefined;
  private instance: Instance | undefined = undefined;
  private held: Connection | undefined = undefined;
  since = 0;

  constructor(fleets: Fleet, owner: SlotOwner) {
    this.fleets = fleets;
    this.owner = owner;
  }

  /** Asks for a slot. The `SlotOwner` is called before this returns when a slot is free or the queue is full. */
  take(fleet: VersionFleet): void {
    this.fleet = fleet;
    const instance = fleet.tryAcquire();
    if (instance !== undefined) return this.hold(instance, 0);
    this.since = performance.now();
    fleet.enqueue(this);
    if (this.queueTimer !== undefined) this.fleets.demand(fleet);
  }
  /** Takes the next free slot of the same version, possibly on another instance. */
  takeAnother(): void {
    const { fleet } = this;
    this.giveBack();
    if (fleet === undefined) return;
    if (fleet.retired) this.owner.moveOn();
    else this.take(fleet);
  }

  granted(instance: Instance): void {
    this.hold(instance, performance.now() - this.since);
  }
  private hold(instance: Instance, waitedMs: number): void {
    this.instance = instance;
    this.waitedMs = waitedMs;
    this.owner.granted(instance);
  }
  refused(error: PlatformError): void {
    this.owner.refused(error);
  }
  moveOn(): void {
    this.giveBack();
    this.owner.moveOn();
  }

  /** Leaves the queue, or frees the slot. A second call does nothing. */
  giveBack(): void {
    const { fleet, instance } = this;
    if (fleet === undefined) return;
    if (this.queueTimer !== undefined) fleet.remove(this);
    this.instance = undefined;
    if (instance === undefined) return;
    if (this.held !== undefined) instance.putBack(this.held);
    this.held = undefined;
    this.fleets.done(fleet, instance);
  }

  get isHeld(): boolean {
    return this.instance !== undefined;
  }
  /** The slot's own connection to the instance. Only for a slot that is held. */
  get connection(): Connection {
    return (this.held ??= this.instance!.takeConnection());
  }
  /** Keeps new requests from the held instance until `looked` settles. */
  async doubt<T>(looked: Promise<T>): Promise<T> {
    const { fleet, instance } = this;
    if (instance !== undefined) instance.doubts += 1;
    try {
      return await looked;
    } finally {
      if (instance !== undefined) instance.doubts -= 1;
      if (instance?.doubts === 0) fleet!.grantWaiting();
    }
  }

  /** Closes the held instance for new requests; after `graceMs` its running requests end, too. Does nothing when no instance is held. */
  closeInstance(reason: ReleaseReason, detail: string, graceMs?: number): void {
    if (this.fleet !== undefined && this.instance !== undefined) this.fleets.close(this.fleet, this.instance, reason, detail, graceMs);
  }
}
