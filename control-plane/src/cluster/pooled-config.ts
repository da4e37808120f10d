// The client library makes a dispatcher of its own for each call, and with it a connection and a TLS handshake, which is most of what a
// small call costs on both sides. Here all calls share one.
import { KubeConfig, type RequestContext } from "@kubernetes/client-node";

/**
 * A dispatcher is replaced after this time, because the certificates that it trusts are read from files that may change. Its running calls
 * go on.
 */
export const DISPATCHER_MS = 10 * 60_000;
type Shared = NonNullable<ReturnType<RequestContext["getDispatcher"]>>;

export class PooledKubeConfig extends KubeConfig {
  private shared: { dispatcher: Shared; until: number } | undefined;

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await super.applySecurityAuthentication(context);
    const fresh = context.getDispatcher();
    if (fresh === undefined) return;
    const now = performance.now();
    if (this.shared === undefined || now >= this.shared.until) {
      void this.shared?.dispatcher.close().catch(() => undefined); // once its calls have ended
      this.shared = { dispatcher: fresh, until: now + DISPATCHER_MS };
    } else {
      void fresh.close().catch(() => undefined); // never used
      context.setDispatcher(this.shared.dispatcher);
    }
  }
}
