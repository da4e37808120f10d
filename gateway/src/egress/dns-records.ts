// SRV and TXT of names that rules cover, for clients that look for their servers so (`mongodb+srv`). What they name is not allowed by that: it
// resolves where a rule says so.
import { Resolver } from "node:dns/promises";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { isCallName } from "@fnctl/control-plane/contract/function-calls";
import { createFairQueue } from "@fnctl/control-plane/service/fair-queue";
import { EGRESS_LIMITS } from "./limits.ts";
import type { Resolve } from "./dial.ts";
import { requireName } from "./names.ts";
import type { TunnelDeps } from "./passage.ts";
import type { Source } from "./source.ts";

export type RecordType = "srv" | "txt";
/** RDATA of each record, as it goes over the wire (RFC 1035 section 3.3.14, RFC 2782), without compression. */
export type LookUp = (type: RecordType, name: string) => Promise<Buffer[]>;
export type AnswerRecords = (source: Source, type: RecordType, name: string, gone: AbortSignal) => Promise<Buffer[]>;

/** `servers`: as `FNCTL_EGRESS_DNS` has them; none: the machine's own. */
export function createLookUp(servers: readonly string[]): LookUp {
  const resolver = new Resolver({ timeout: EGRESS_LIMITS.dnsTryMs, tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  return async (type, name) => {
    if (type === "txt") return (await resolver.resolveTxt(name)).map((strings) => Buffer.concat(strings.map((text) => counted(text))));
    return (await resolver.resolveSrv(name)).filter(({ name: target }) => Buffer.byteLength(target) <= 253).map(serviceData);
  };
}
function serviceData({ priority, weight, port, name }: { priority: number; weight: number; port: number; name: string }): Buffer {
  const numbers = Buffer.alloc(6);
  for (const [at, number] of [priority, weight, port].entries()) numbers.writeUInt16BE(number, 2 * at);
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([numbers, ...labels.map(counted), Buffer.of(0)]);
}
/** A length of one byte before it; Node gives the bytes of a record as so many characters. */
function counted(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1").subarray(0, 255);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** The name of the server in the data of an SRV record. */
function serverOf(data: Buffer): string {
  const labels: string[] = [];
  for (let at = 6; (data[at] ?? 0) > 0; at += 1 + data[at]!) labels.push(data.toString("latin1", at + 1, at + 1 + data[at]!));
  return labels.join(".");
}

/** `_mongodb._tcp.db.example.com` is about `db.example.com` (RFC 2782), and covered by a rule for it. */
const subjectOf = (name: string): string => name.replace(/^_[^.]+\.(?:_[^.]+\.)?/, "");
const NOTHING = new Set(["ENODATA", "ENOTFOUND"]);

/** `resolve`: as tunnels' names are resolved. */
type Deps = Pick<TunnelDeps, "policies" | "pace" | "log" | "mayDial"> & { resolve: Resolve };

export function createAnswerRecords(deps: Deps, lookUp: LookUp): AnswerRecords {
  const queue = createFairQueue(EGRESS_LIMITS.resolves);
  return async (source, type, name, gone) => {
    const host = name.toLowerCase();
    await requireName(deps, source, [host, subjectOf(host)], gone);
    if (isCallName(host)) return [];
    const owner = source.settings.tenantId ?? source.instance;
    const inTurn = <Item>(look: () => Promise<Item[]>) => queue.run({ owner, urgent: true }, async () => (gone.aborted ? [] : look()));
    /** What a name leads to inside is not for who guesses names: `10-1-2-3.postgres.svc.cluster.local` says it all. */
    async function isTold(record: Buffer): Promise<boolean> {
      const addresses = await inTurn(() => deps.resolve(serverOf(record)).catch(() => []));
      return addresses.every((address) => deps.mayDial(source.settings, address, { host: serverOf(record), port: record.readUInt16BE(4) }));
    }
    const found = await inTurn(() => lookUp(type, host)).catch((error: unknown) => {
      if (error instanceof PlatformError) throw error;
      if (NOTHING.has((error as NodeJS.ErrnoException).code ?? "")) return [];
      throw new PlatformError("UNAVAILABLE", `${host} could not be looked up.`, { cause: error });
    });
    const told = fitting(found);
    if (type === "txt") return told;
    const isOpen = await Promise.all(told.map(isTold));
    return told.filter((_record, at) => isOpen[at]);
  };
}

/** As many as the limits allow. */
function fitting(found: readonly Buffer[]): Buffer[] {
  const { records, bytes } = EGRESS_LIMITS.dnsAnswer;
  let room = bytes;
  return found.slice(0, records).filter(({ length }) => (room -= length) >= 0);
}
