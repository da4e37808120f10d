// Wires the egress proxy together.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ListenAddress } from "@fnctl/control-plane/contract/endpoint";
import { isAddressDenied, isNamed } from "@fnctl/control-plane/contract/egress-rules";
import pino from "pino";
import { closeListener, openListener } from "@fnctl/control-plane/service/http/listen";
import { Pace } from "@fnctl/control-plane/service/pace";
import { createAddressPolicy } from "./address-policy.ts";
import { createCallFunction } from "./call-function.ts";
import { createControlPlane } from "./control-plane.ts";
import { createControlServer } from "./control.ts";
import { createReadCredential } from "./credential.ts";
import { createEgressCredentialReader } from "@fnctl/control-plane/service/egress-credential";
import { createCredentialServer, type CredentialDeps } from "./credential-listener.ts";
import { createDial, resolveBy, systemResolve, type MayDial, type Resolve } from "./dial.ts";
import { createAnswerRecords, createLookUp } from "./dns-records.ts";
import { RecordReport } from "./record-report.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { openPolicies, type Policies } from "./policies.ts";
import { watchPlatform, type PlatformAddresses } from "./platform-addresses.ts";
import type { EgressSettings } from "./settings.ts";
import type { ConnectionRecord } from "./source.ts";
import { Meter } from "./meter.ts";
import { TunnelCount } from "./tunnel-count.ts";
import { reportUsage } from "./usage-report.ts";
import { openSourceRegistry, type SourceRegistry } from "./source-registry.ts";
import type { TunnelDeps } from "./tunnel.ts";

export interface Egress {
  stop(): Promise<void>;
}

export async function startEgress(settings: EgressSettings, secret: string, resolve: Resolve = resolverOf(settings)): Promise<Egress> {
  const log = pino(
    { base: null, timestamp: false },
    pino.destination({ dest: settings.log === "-" ? 1 : settings.log, sync: false, mkdir: false }),
  );
  const warn = (message: string, facts: Record<string, unknown>): void => log.warn(facts, message);
  const control = settings.feed === undefined ? undefined : createControlPlane(settings.feed, secret, readCa(settings.caFile));
  const report = control === undefined ? undefined : new RecordReport(control.post, warn);
  let registry: SourceRegistry | undefined;
  let door: Door | undefined;
  const policies = openPolicies({
    control,
    file: settings.root === undefined ? undefined : join(settings.root, ".policies"),
    changed(tenantId) {
      registry?.lookAgain(tenantId);
      door?.lookAgain(tenantId);
    },
    warn,
  });
  const platform = await watchPlatform({ hosts: settings.platformHosts, warn });
  const mayDial = addressJudge(settings, policies, platform);
  const dial = createDial({
    mayDial,
    callFunction: createCallFunction(settings.calls, secret),
    resolve,
    upstreamProxy: settings.upstreamProxy,
  });
  function keep(record: ConnectionRecord): void {
    log.info(record);
    report?.add(record);
  }
  const pace = new Pace(EGRESS_LIMITS.questions);
  const pieces = new Pace(EGRESS_LIMITS.pieces);
  const meter = new Meter(settings.dayCaps);
  const usage = control && reportUsage({ meter, proxy: control.holder, send: control.post, warn });
  const deps: TunnelDeps = { dial, mayDial, policies, pace, pieces, count: new TunnelCount(), meter, log: keep };
  const answerRecords = createAnswerRecords({ ...deps, resolve }, createLookUp(settings.dns));
  door =
    settings.listen === undefined ? undefined : await openDoor({ ...deps, answerRecords, renew: control?.renew }, settings.listen, secret);
  registry = settings.root === undefined ? undefined : await openSourceRegistry({ ...deps, answerRecords, root: settings.root, warn });
  const admin = createControlServer({ secret, registry });
  const listener = await openListener(admin, settings.control, { mode: 0o660 });
  return {
    async stop() {
      const closed = [listener, ...(door === undefined ? [] : [door.listener])].map(closeListener);
      platform.stop();
      admin.closeAllConnections();
      door?.end("shutdown");
      await Promise.all([...closed, registry?.close(), policies.stop()]);
      await report?.stop();
      await usage?.stop();
      await control?.close();
      await new Promise<void>((done) => log.flush(() => done()));
    },
  };
}

/** A function reaches what is public, and of private addresses what the platform opens to functions, the operator to its tenant, and a rule names. */
function addressJudge({ allowPrivate, functionPrivate }: EgressSettings, policies: Policies, platform: PlatformAddresses): MayDial {
  const [isPublic, forBuilds, forFunctions] = [[], allowPrivate, functionPrivate].map((ranges) => createAddressPolicy(ranges));
  return (settings, address, { host, port }) => {
    if (platform.has(address)) return false;
    if (settings.kind === "build") return forBuilds!(address);
    const rules = policies.rulesFor(settings);
    if (isAddressDenied(rules, address, port)) return false;
    return (
      isPublic!(address) ||
      (platform.isKnown && forFunctions!(address) && policies.opens(settings, address, port) && isNamed(rules, host, port))
    );
  };
}

const resolverOf = ({ dns }: EgressSettings): Resolve => (dns.length === 0 ? systemResolve : resolveBy(dns));

async function openDoor(deps: Omit<CredentialDeps, "readCredential">, address: ListenAddress, secret: string) {
  const readCredential = createReadCredential(createEgressCredentialReader(secret));
  const { server, ...door } = createCredentialServer({ ...deps, readCredential });
  return { ...door, listener: await openListener(server, address, { mode: 0o666 }) };
}
type Door = Awaited<ReturnType<typeof openDoor>>;

const readCa = (file: string | undefined): string | undefined => (file === undefined ? undefined : readFileSync(file, "utf8"));
