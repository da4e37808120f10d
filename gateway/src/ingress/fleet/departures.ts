// Requests go to instances at the end of a turn of the event loop. A connection that is free may hold bytes that nobody has read yet, which the
// function wrote after its last answer; the next request would get them as its answer. undici gives a connection up on which such bytes are
// read (SECURITY D6), and sends at the end of the turn in which a free connection is taken. A turn may be long, though, and what came in its
// course is read in the next one; so a connection is taken at a turn's end, and the request is sent at the end of the turn after it, when all
// has been read that came before. Should that one turn be long, the request is taken back and goes again.
//
// Taking it back costs the connection (undici destroys it). Under load, when every turn is long, half of all requests went on new connections, and
// made the turns longer; so no more than a part of all requests is taken back.
import { eachOf } from "./each-of.ts";
import { GATEWAY_LIMITS } from "../limits.ts";

export interface Departure {
  /** `now` on the monotonic clock. */
  depart(now: number): void;
}

export class Departures {
  private waiting: Departure[] = [];
  /** How many may be taken back before another has gone. */
  private allowance: number = GATEWAY_LIMITS.takenBack.most;

  /** `depart` is called at the end of this turn. */
  add(one: Departure): void {
    if (this.waiting.push(one) === 1) setImmediate(endOfTurn, this);
  }
  /** Whether a request that departed at `since` (monotonic clock) on a connection that was used before may be written now. */
  mayGo(since: number): boolean {
    const isTimely = performance.now() - since < GATEWAY_LIMITS.lateBytesMs;
    if (!isTimely && this.allowance >= 1) {
      this.allowance -= 1;
      return false;
    }
    if (this.allowance < GATEWAY_LIMITS.takenBack.most) this.allowance += GATEWAY_LIMITS.takenBack.share;
    return true;
  }
  endOfTurn(): void {
    const going = this.waiting;
    this.waiting = [];
    const now = performance.now();
    eachOf(going, (one) => one.depart(now));
  }
}

const endOfTurn = (departures: Departures): void => departures.endOfTurn();
