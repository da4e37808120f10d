// When a request may be written to an instance. A connection that is free may hold bytes that nobody has read yet, which the function wrote
// after its last answer; the next request would get them as its answer. undici gives a connection up on which such bytes are read (SECURITY
// D6), and looks at the end of the turn of the event loop in which the connection is taken; but a turn may be long, and what came in its
// course is read in the next one. So a request goes only if all was read that came up to a few milliseconds ago.
import { GATEWAY_LIMITS } from "../limits.ts";

export interface Departure {
  depart(): void;
}

export class Departures {
  private waiting: Departure[] = [];
  private isScheduled = false;
  /** When the last turn ended, and the one before it, of those in which a request was to go; monotonic clock, milliseconds. */
  private turnEnded = Number.NEGATIVE_INFINITY;
  private turnBefore = Number.NEGATIVE_INFINITY;

  /** `depart` is called now, or at the end of this turn when no turn has ended lately. */
  add(one: Departure): void {
    this.schedule();
    if (isRecent(this.turnEnded)) one.depart();
    else this.waiting.push(one);
  }
  /** For one that could not go. */
  addAgain(one: Departure): void {
    this.schedule();
    this.waiting.push(one);
  }

  /**
   * Whether all was read that came up to `lateBytesMs` ago: a turn polls after the end of the turn before it, and what it finds then has been
   * read at its end.
   */
  get isClear(): boolean {
    return isRecent(this.turnBefore);
  }

  endOfTurn(): void {
    this.isScheduled = false;
    this.turnBefore = this.turnEnded;
    this.turnEnded = performance.now();
    if (this.waiting.length === 0) return;
    this.schedule(); // before undici's own look at the end of the next turn, after which it sends
    const going = this.waiting;
    this.waiting = [];
    for (const one of going) one.depart();
  }
  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(endOfTurn, this);
  }
}

const endOfTurn = (departures: Departures): void => departures.endOfTurn();
const isRecent = (time: number): boolean => performance.now() - time < GATEWAY_LIMITS.lateBytesMs;
