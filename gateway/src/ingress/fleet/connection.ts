// One connection to an instance, for one request at a time. An instance has one for each slot in use and shares none with another instance
// (SECURITY fact 1); undici's Client makes it, and makes it anew when it was lost.
import type { Lease } from "@fnctl/control-plane/contract/internal";
import { dialOf } from "@fnctl/control-plane/contract/instance-address";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { Client, type Dispatcher } from "undici";
import { GATEWAY_LIMITS } from "../limits.ts";

export class Connection {
  /** A request was sent on it, so that the function may have written something since. */
  isUsed = false;
  private readonly client: Client;

  constructor(lease: Lease, onPoisoned: () => void) {
    const dial = dialOf(lease.address, lease.instance, GATEWAY_LIMITS.connectMs);
    this.client = new Client(dial.origin, {
      connect: dial.connect,
      pipelining: 1,
      allowH2: false,
      // The invocation's own deadline applies instead of undici's timeouts.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: LIMITS.headerBytes,
      maxResponseSize: LIMITS.responseBodyBytes,
    });
    this.client.on("disconnect", (_origin, _targets, error) => {
      this.isUsed = false;
      if (isPoison(error)) onPoisoned();
    });
  }
  dispatch(request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.client.dispatch(request, handler);
  }
  destroy(): void {
    void this.client.destroy(ENDED).catch(() => {});
  }
}

const ENDED = new Error("instance ended");
/** undici destroys a socket on which bytes arrive without a request, and only these messages show that (SECURITY D6). */
const isPoison = (error: Error): boolean => error.message === "bad response" || error.message === "bad upgrade";
