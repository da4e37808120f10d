// Wires the egress proxy together.
import pino from "pino";
import { closeListener, openListener } from "../listener.ts";
import { createAddressPolicy } from "./address-policy.ts";
import { createControlServer } from "./control.ts";
import { createDial, systemResolve, type Resolve } from "./dial.ts";
import type { EgressSettings } from "./settings.ts";
import { openSourceRegistry } from "./source-registry.ts";

export interface Egress {
  stop(): Promise<void>;
}

export async function startEgress(settings: EgressSettings, secret: string, resolve: Resolve = systemResolve): Promise<Egress> {
  const log = pino(
    { base: null, timestamp: false },
    pino.destination({ dest: settings.log === "-" ? 1 : settings.log, sync: false, mkdir: false }),
  );
  const dial = createDial({ policy: createAddressPolicy(settings.allowPrivate), resolve, upstreamProxy: settings.upstreamProxy });
  const registry = await openSourceRegistry({ root: settings.root, dial, log: (record) => log.info(record) });
  const control = createControlServer({ secret, registry });
  const listener = await openListener(control, { kind: "unix", path: settings.controlSocket }, 0o660);
  return {
    async stop() {
      const closed = closeListener(listener);
      control.closeAllConnections();
      await Promise.all([closed, registry.close()]);
      await new Promise<void>((done) => log.flush(() => done()));
    },
  };
}
