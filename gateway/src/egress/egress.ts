// Wires the egress proxy together.
import type { ListenAddress } from "@fnctl/control-plane/contract/endpoint";
import pino from "pino";
import { closeListener, openListener } from "@fnctl/control-plane/service/http/listen";
import { createAddressPolicy } from "./address-policy.ts";
import { createControlServer } from "./control.ts";
import { createReadCredential } from "./credential.ts";
import { createCredentialServer } from "./credential-listener.ts";
import { createDial, resolveBy, systemResolve, type Dial, type Resolve } from "./dial.ts";
import type { EgressSettings } from "./settings.ts";
import type { ConnectionRecord } from "./source.ts";
import { TunnelCount } from "./tunnel-count.ts";
import { openSourceRegistry } from "./source-registry.ts";

export interface Egress {
  stop(): Promise<void>;
}

export async function startEgress(settings: EgressSettings, secret: string, resolve: Resolve = resolverOf(settings)): Promise<Egress> {
  const log = pino(
    { base: null, timestamp: false },
    pino.destination({ dest: settings.log === "-" ? 1 : settings.log, sync: false, mkdir: false }),
  );
  const dial = createDial({
    policies: { build: createAddressPolicy(settings.allowPrivate), function: createAddressPolicy(settings.functionPrivate) },
    resolve,
    upstreamProxy: settings.upstreamProxy,
  });
  const deps = { dial, count: new TunnelCount(), log: (record: ConnectionRecord) => log.info(record) };
  const doors = settings.listen === undefined ? [] : [await openDoor(deps, settings.listen, secret)];
  const registry = settings.root === undefined ? undefined : await openSourceRegistry({ ...deps, root: settings.root });
  const control = createControlServer({ secret, registry });
  const listener = await openListener(control, settings.control, { mode: 0o660 });
  return {
    async stop() {
      const closed = [listener, ...doors.map((door) => door.listener)].map(closeListener);
      control.closeAllConnections();
      for (const door of doors) door.end("shutdown");
      await Promise.all([...closed, registry?.close()]);
      await new Promise<void>((done) => log.flush(() => done()));
    },
  };
}

const resolverOf = ({ dns }: EgressSettings): Resolve => (dns.length === 0 ? systemResolve : resolveBy(dns));

async function openDoor(
  deps: { dial: Dial; count: TunnelCount; log: (record: ConnectionRecord) => void },
  address: ListenAddress,
  secret: string,
) {
  const { server, end } = createCredentialServer({ ...deps, readCredential: createReadCredential(secret) });
  return { end, listener: await openListener(server, address, { mode: 0o666 }) };
}
