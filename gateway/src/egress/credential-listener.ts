// The egress proxy of a cluster: one TCP port for all sandboxes, which show a credential instead of having a socket of their own.
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { FunctionClaims } from "@fnctl/control-plane/contract/egress-credential";
import type { Allowed } from "@fnctl/control-plane/contract/egress-rules";
import { PlatformError, type Problem } from "@fnctl/control-plane/contract/errors";
import { FUNCTION_EGRESS, type EgressSource } from "@fnctl/control-plane/contract/internal";
import type { EgressClaims } from "@fnctl/control-plane/service/egress-credential";
import { Pace } from "@fnctl/control-plane/service/pace";
import { bearerOf, type ReadCredential } from "./credential.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import { KnownConnections } from "./known-connections.ts";
import { answerName } from "./names.ts";
import { egressProblem, problemAnswer } from "./refusal.ts";
import { RefusalLog } from "./refusal-log.ts";
import type { Source } from "./source.ts";
import { callerOf, createSourceServer, type Caller } from "./source-listener.ts";
import type { AnswerRecords } from "./dns-records.ts";
import { refusePlain, runPlainRequest } from "./plain-request.ts";
import { Strangers } from "./strangers.ts";
import { runTunnel, type TunnelDeps } from "./tunnel.ts";

export interface CredentialDeps extends TunnelDeps {
  readCredential: ReadCredential;
  answerRecords: AnswerRecords;
  /** A new credential for a function's that still counts. Absent: there are none. */
  renew?: ((credential: string) => Promise<string>) | undefined;
}
export interface CredentialServer {
  server: Server;
  /** A tenant's rules have changed: open tunnels that they forbid are cut. */
  lookAgain(tenantId: string): void;
  end(outcome: string): void;
}

export function createCredentialServer(deps: CredentialDeps): CredentialServer {
  /** In the order of last use; a source's bytes are counted for as long as the source is remembered. */
  const sources = new Map<string, Source>();
  const known = new KnownConnections();
  const refusals = new Pace(EGRESS_LIMITS.unknown);
  const renewals = new Pace(EGRESS_LIMITS.renewals);

  function sourceOf(instance: string, settings: EgressSource): Source {
    const source = sources.get(instance) ?? { instance, settings, bytes: 0, tunnels: new Set(), refusals: new RefusalLog() };
    source.settings = settings;
    sources.delete(instance);
    sources.set(instance, source);
    for (const [name, old] of sources) {
      if (sources.size <= EGRESS_LIMITS.rememberedSources) break;
      if (old.tunnels.size === 0) sources.delete(name);
    }
    return source;
  }
  async function settingsOf(claims: EgressClaims): Promise<EgressSource> {
    if ("source" in claims) return claims.source;
    const { function: own, sub } = claims;
    const before = sources.get(sub)?.settings; // an instance is its version's for life, and a version's rules never change
    if (before !== undefined) return before;
    return functionSettings(own, own.hasRules ? await deps.policies.ofVersion(own.tenantId, own.versionId) : []);
  }

  /** Throws UNAUTHENTICATED. */
  async function identify({ proxyAuthorization, client }: Caller): Promise<Source> {
    const before = known.of(client);
    if (before !== undefined) return before;
    const claims = await deps.readCredential(proxyAuthorization);
    if (claims === undefined || !comesFrom(claims, client)) {
      await sleep(refusals.wait(addressOf(client))); // who is refused at once asks again at once
      throw NO_CREDENTIAL;
    }
    const source = sourceOf(claims.sub, await settingsOf(claims));
    if (!client.destroyed) known.add(client, source);
    strangers.known(client);
    return source;
  }
  /** Serves whom is known, unless it has left meanwhile. */
  async function serve(caller: Caller, serving: (source: Source) => Promise<void>, unknown: (problem: Told) => void): Promise<void> {
    try {
      const source = await identify(caller);
      if (!caller.client.destroyed) return await serving(source);
    } catch (error) {
      if (!caller.client.destroyed) unknown(strangersProblem(error));
    }
  }
  async function renew(caller: Caller): Promise<string> {
    const { instance } = await identify(caller);
    if (renewals.wait(instance) > 0) throw new PlatformError("RATE_LIMITED", "A new credential was asked for too often.");
    const credential = bearerOf(caller.proxyAuthorization ?? "");
    if (credential === undefined || deps.renew === undefined) throw NO_CREDENTIAL;
    return deps.renew(credential);
  }

  const server = createSourceServer({
    onConnect: (request) =>
      void serve(
        request,
        (source) => runTunnel(deps, source, request),
        (problem) => {
          request.client.end(problemAnswer(problem));
          cutSoon(request.client);
        },
      ),
    onPlain(asked) {
      asked.request.socket.pause(); // nothing of a body is kept for whom nobody knows yet
      void serve(
        callerOf(asked.request),
        (source) => runPlainRequest(deps, source, asked),
        (problem) => {
          refusePlain(asked.request, asked.response, problem);
          cutSoon(asked.request.socket);
        },
      );
    },
    onName: async (name, gone, caller) => answerName(deps, await identify(caller), name, gone),
    onRecords: async (type, name, gone, caller) => deps.answerRecords(await identify(caller), type, name, gone),
    onCredential: renew,
    maxConnections: () => EGRESS_LIMITS.openConnections,
  });
  const strangers = new Strangers(server);
  return {
    server,
    lookAgain(tenantId) {
      for (const { settings, tunnels } of sources.values())
        if (settings.tenantId === tenantId) for (const tunnel of tunnels) tunnel.lookAgain();
    },
    end(outcome) {
      for (const source of sources.values()) for (const tunnel of source.tunnels) tunnel.end(outcome);
      server.closeAllConnections();
    },
  };
}

/** Whoever is refused has a moment to read the reason, and no more than that. */
function cutSoon(client: Duplex): void {
  client.resume();
  const late = setTimeout(() => client.destroy(), EGRESS_LIMITS.refusalMs);
  client.once("close", () => clearTimeout(late));
}

type Told = Omit<Problem, "facts">;
const NO_CREDENTIAL = new PlatformError("UNAUTHENTICATED", "The egress proxy does not know this sandbox.");

/** Whoever is not known is told how to become it; 407 is what clients of a proxy understand (RFC 9110 section 15.5.8). */
function strangersProblem(error: unknown): Told {
  const { problem } = egressProblem(error);
  return problem.code === "UNAUTHENTICATED" ? { ...problem, status: 407, title: "Proxy Authentication Required" } : problem;
}

/** A function's credential counts from its own pod alone: whoever else has got it reaches nothing by it. */
function comesFrom(claims: EgressClaims, client: Duplex): boolean {
  if ("source" in claims) return true; // a builder's was made before its pod had an address
  return addressOf(client) === claims.function.address;
}
const addressOf = (client: Duplex & { remoteAddress?: string }): string => (client.remoteAddress ?? "").replace(/^::ffff:/i, "");

const functionSettings = (own: FunctionClaims, allow: readonly Allowed[]): EgressSource => ({
  tenantId: own.tenantId,
  functionId: own.functionId,
  version: own.version,
  label: own.label,
  kind: "function",
  allow: [...allow],
  ...FUNCTION_EGRESS,
});
