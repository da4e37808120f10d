// Connections that have not shown a credential yet, by the address that they come from: a tenant's pods can make as many as they like, and must not
// keep others from theirs.
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { EGRESS_LIMITS } from "./limits.ts";
import { createTurnAway } from "./refusal.ts";

export class Strangers {
  private readonly byAddress = new Map<string, number>();
  private readonly waiting = new WeakMap<Duplex, string>();
  private readonly turnAway = createTurnAway();
  private all = 0;

  constructor(server: Server) {
    server.on("connection", (socket: Socket) => this.admit(socket));
  }
  private admit(socket: Socket): void {
    const address = socket.remoteAddress ?? "";
    const here = this.byAddress.get(address) ?? 0;
    if (here >= this.share()) return this.turnAway(socket, "Too many connections at once that have asked for nothing yet.");
    this.byAddress.set(address, here + 1);
    this.all += 1;
    this.waiting.set(socket, address);
    socket.once("close", () => this.known(socket));
  }
  /** As many as one sandbox may need at once, and less the more addresses have some. */
  private share(): number {
    const { perAddress, least, all } = EGRESS_LIMITS.strangers;
    if (this.all >= all) return least;
    return Math.max(least, Math.min(perAddress, Math.floor(all / (this.byAddress.size + 1))));
  }
  /** It has shown a good credential, or is gone. */
  known(socket: Duplex): void {
    const address = this.waiting.get(socket);
    if (address === undefined) return;
    this.waiting.delete(socket);
    this.all -= 1;
    const left = (this.byAddress.get(address) ?? 1) - 1;
    if (left === 0) this.byAddress.delete(address);
    else this.byAddress.set(address, left);
  }
}
