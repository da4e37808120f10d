// Connects to a target: resolves the name, checks every address, and dials a checked address, so that the name is never resolved again.
import { lookup, Resolver } from "node:dns/promises";
import type { Socket } from "node:net";
import { bareAddress, isAddressHost } from "@fnctl/control-plane/contract/address-rules";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { calledFunction } from "@fnctl/control-plane/contract/function-calls";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { createFairQueue } from "@fnctl/control-plane/service/fair-queue";
import type { CallFunction } from "./call-function.ts";
import { connectTo } from "./connect-to.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import type { Source } from "./source.ts";
import type { Target } from "./target.ts";

export interface Dialled {
  socket: Socket;
  /** The address that was connected to, for the log. */
  address: string;
  /** Bytes that an upstream proxy sent right behind its answer. */
  early: Buffer;
}
export type Resolve = (host: string) => Promise<string[]>;
/** `source`: who asks; `signal`: nobody waits any more. */
export type Dial = (target: Target, source: Pick<Source, "instance" | "settings">, signal: AbortSignal) => Promise<Dialled>;

export const systemResolve: Resolve = async (host) => (await lookup(host, { all: true, verbatim: true })).map((entry) => entry.address);

/** Asks these DNS servers (`address` or `address:port`) and not the machine's own. */
export function resolveBy(servers: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: EGRESS_LIMITS.dnsTryMs, tries: 2 });
  resolver.setServers(servers);
  return async (host) => {
    const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    return found.flatMap((family) => (family.status === "fulfilled" ? family.value : []));
  };
}

/** Whether a sandbox may connect to an address to which its target led. */
export type MayDial = (settings: EgressSource, address: string, target: Target) => boolean;

interface DialDeps {
  mayDial: MayDial;
  callFunction: CallFunction;
  resolve: Resolve;
  upstreamProxy: URL | undefined;
}

/** `upstreamProxy`: the operator's own proxy. Its address is not checked, because the operator chose it. */
export function createDial({ mayDial, callFunction, resolve, upstreamProxy }: DialDeps): Dial {
  // A name may take a resolver's whole time, and one of its threads with it, longer than its tunnel waits: so a tenant has few at a time.
  const queue = createFairQueue(EGRESS_LIMITS.resolves);
  return async (target, { instance, settings }, signal) => {
    const called = calledFunction(target.host);
    if (called !== undefined) return callFunction(settings, called, signal);
    const owner = settings.tenantId ?? instance;
    const inTurn = (host: string) => queue.run({ owner, urgent: true }, async () => (signal.aborted ? [] : resolve(host)));
    const policy = (address: string) => mayDial(settings, address, target);
    const deps = { policy, resolve: isAddressHost(target.host) ? async (host: string) => [bareAddress(host)] : inTurn };
    const addresses = await resolveChecked(deps, target, upstreamProxy !== undefined);
    if (upstreamProxy !== undefined) return connectThrough(upstreamProxy, target, signal);
    let last: unknown;
    for (const address of addresses.slice(0, EGRESS_LIMITS.addresses)) {
      if (signal.aborted) break;
      try {
        return { socket: await connectTo({ host: address, port: target.port }, signal), address, early: Buffer.alloc(0) };
      } catch (error) {
        last = error;
      }
    }
    throw new PlatformError("UNAVAILABLE", `${target.host}:${target.port} does not take connections.`, { cause: last });
  };
}

/** One denied address among several makes the whole name denied, because DNS rebinding attacks begin with a mixed answer. */
async function resolveChecked(
  deps: { policy: (address: string) => boolean; resolve: Resolve },
  target: Target,
  mayBeUnknown: boolean,
): Promise<string[]> {
  const addresses = await within(EGRESS_LIMITS.resolveMs, deps.resolve(target.host)).catch(unlessCoded);
  if (addresses.length === 0 && !mayBeUnknown)
    throw new PlatformError("UNAVAILABLE", `${target.host} has no address.`, {
      hint: "Check the name; it is resolved outside the sandbox.",
    });
  if (addresses.length > EGRESS_LIMITS.addressesOfName)
    throw new PlatformError("FORBIDDEN", `${target.host} has more than ${EGRESS_LIMITS.addressesOfName} addresses.`);
  const denied = addresses.find((address) => !deps.policy(address));
  if (denied === undefined) return addresses;
  throw new PlatformError(
    "FORBIDDEN",
    `${target.host} ${isAddressHost(target.host) ? "is" : "leads to"} an address that functions may not reach.`,
    {
      hint: "Private, loopback, link-local, metadata and reserved addresses are closed; the operator may open some to a tenant. A tenant's own rules may deny an address, too: `fnctl egress ls`.",
      facts: { address: denied }, // for the operator's log
    },
  );
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => (timer = setTimeout(() => reject(new Error("late")), ms)));
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A name that cannot be looked up has no address; a refusal of our own says why. */
function unlessCoded(error: unknown): string[] {
  if (error instanceof PlatformError) throw error;
  return [];
}

async function connectThrough(proxy: URL, target: Target, signal: AbortSignal): Promise<Dialled> {
  const socket = await connectTo({ host: proxy.hostname.replace(/^\[|\]$/g, ""), port: Number(proxy.port || 80) }, signal).catch(
    (cause: unknown) => {
      throw new PlatformError("UNAVAILABLE", "The operator's upstream proxy does not take connections.", { cause });
    },
  );
  const credentials =
    proxy.username === ""
      ? ""
      : `proxy-authorization: Basic ${Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`).toString("base64")}\r\n`;
  const authority = `${target.host}:${target.port}`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${credentials}\r\n`);
  const early = await readProxyAnswer(socket);
  return { socket, address: `proxy ${proxy.host}`, early };
}

function readProxyAnswer(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const timer = setTimeout(() => done(new Error("late")), EGRESS_LIMITS.connectMs);
    const done = (error: Error | undefined): void => {
      clearTimeout(timer);
      socket.off("data", onData).off("close", onClose).off("error", onClose);
      if (error !== undefined) socket.on("error", () => {}).destroy();
      if (error !== undefined)
        reject(new PlatformError("UNAVAILABLE", "The operator's upstream proxy refused the connection.", { cause: error }));
      socket.pause();
    };
    const onClose = (): void => done(new Error("closed"));
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end === -1) return bytes.length > EGRESS_LIMITS.headerBytes ? done(new Error("answer too long")) : undefined;
      const ok = /^HTTP\/1\.[01] 2\d\d/.test(bytes.subarray(0, end).toString("latin1"));
      done(ok ? undefined : new Error("not 2xx"));
      if (ok) resolve(bytes.subarray(end + 4));
    };
    socket.on("data", onData).once("close", onClose).once("error", onClose);
  });
}
