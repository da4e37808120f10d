// Addresses of the platform's other parts, in a cluster: functions must not reach them by the proxy, whatever the operator opens.
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { EGRESS_LIMITS } from "./limits.ts";

export interface PlatformAddresses {
  has(address: string): boolean;
  /** All of them have been found once: until then nobody can say what is not the platform's. */
  readonly isKnown: boolean;
  stop(): void;
}

interface Deps {
  hosts: readonly string[];
  warn(message: string, facts: Record<string, unknown>): void;
  look?: (host: string) => Promise<string[]>;
}

/** `hosts`: names or addresses, looked up again from time to time; what was found stays as long as a name cannot be looked up. */
export async function watchPlatform({ hosts, warn, look = byName }: Deps): Promise<PlatformAddresses> {
  const found = new Map<string, readonly string[]>();
  async function refresh(): Promise<void> {
    const find = async (host: string): Promise<void> => {
      const addresses = isIP(host) === 0 ? await look(host).catch(() => []) : [host];
      if (addresses.length > 0) found.set(host, addresses);
      else if (!found.has(host)) warn("a part of the platform is not found: until it is, nothing private is open to functions", { host });
    };
    await Promise.all(hosts.map(find));
  }
  await refresh();
  const timer = setInterval(() => void refresh(), EGRESS_LIMITS.ownAddressesMs);
  timer.unref();
  return {
    get isKnown() {
      return found.size === new Set(hosts).size;
    },
    has: (address) => [...found.values()].some((addresses) => addresses.includes(address)),
    stop: () => clearInterval(timer),
  };
}
const byName = async (host: string): Promise<string[]> => (await lookup(host, { all: true })).map(({ address }) => address);
