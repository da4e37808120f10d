// Finds the hosts that builds may reach: the operator's own npm and pip settings name the indexes, and each index's answer names its file
// host.
import { lookup } from "node:dns/promises";
import { readFile, writeFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import path from "node:path";
import { run } from "./run.ts";

export interface Registries {
  npmRegistry?: string;
  pypiIndex?: string;
  hosts: { host: string; ports: number[] }[];
  /** Addresses of those hosts as this machine resolves them, as CIDR: a mirror on a private address is the operator's choice. */
  addresses: string[];
}
/** The first start may wait longer for the network; later starts can use the last answer. */
const FETCH_MS = { first: 10_000, later: 2_000 };

const withoutSecrets = (text: string): string => {
  const url = new URL(text);
  url.username = "";
  url.password = ""; // credentials never enter a sandbox
  return url.href;
};

async function npmIndex(): Promise<string> {
  return withoutSecrets((await run("npm", ["config", "get", "registry"])).trim().split("\n").at(-1) ?? "");
}

/** pip's setting or its own default, as pip itself reports it. */
async function pypiIndex(): Promise<string> {
  const asked =
    process.env["PIP_INDEX_URL"] ??
    process.env["UV_INDEX_URL"] ??
    (await run("python3", ["-m", "pip", "config", "get", "global.index-url"]).catch(() => ""));
  const found =
    asked.trim() === "" ? await run("python3", ["-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"]) : asked;
  return withoutSecrets(found.trim());
}

async function npmFileHosts(index: string, timeoutMs: number): Promise<URL[]> {
  const answer = await fetch(new URL("npm/latest", index.endsWith("/") ? index : `${index}/`), { signal: AbortSignal.timeout(timeoutMs) });
  const { dist } = (await answer.json()) as { dist: { tarball: string } };
  return [new URL(index), new URL(dist.tarball)];
}

/** Reads the index's JSON (PEP 691) if it has that, otherwise the links of its HTML page (PEP 503). */
async function pypiFileHosts(index: string, timeoutMs: number): Promise<URL[]> {
  const answer = await fetch(`${index.replace(/\/$/, "")}/pip/`, {
    headers: { accept: "application/vnd.pypi.simple.v1+json, text/html;q=0.5" },
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await answer.text();
  const links = (answer.headers.get("content-type") ?? "").includes("json")
    ? (JSON.parse(text) as { files: { url: string }[] }).files.map((file) => file.url)
    : [...text.matchAll(/href="([^"#]+)/g)].map((match) => match[1] ?? "");
  return [new URL(index), ...links.slice(-20).map((link) => new URL(link, answer.url))];
}

const portOf = (url: URL): number => (url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port));

async function discover(timeoutMs: number): Promise<Registries> {
  const [npmRegistry, pypi] = await Promise.all([npmIndex(), pypiIndex()]);
  const urls = (await Promise.all([npmFileHosts(npmRegistry, timeoutMs), pypiFileHosts(pypi, timeoutMs)])).flat();
  const hosts = new Map<string, Set<number>>();
  for (const url of urls) hosts.set(url.hostname, (hosts.get(url.hostname) ?? new Set()).add(portOf(url)));
  const found = await Promise.all([...hosts.keys()].map((host) => lookup(host, { all: true }).catch(() => [])));
  const addresses = [...new Set(found.flat().map(({ address }) => `${address}/${isIPv6(address) ? 128 : 32}`))];
  return { npmRegistry, pypiIndex: pypi, hosts: [...hosts].map(([host, ports]) => ({ host, ports: [...ports] })), addresses };
}

/** Asks anew at each start. Without a network it uses the last answer; without that too, builds with dependencies fail and say why. */
export async function findRegistries(stateDir: string, say: (detail: string) => void): Promise<Registries> {
  const file = path.join(stateDir, "registries.json");
  const last = await readFile(file, "utf8").catch(() => undefined);
  try {
    const found = await discover(last === undefined ? FETCH_MS.first : FETCH_MS.later);
    await writeFile(file, JSON.stringify(found));
    return found;
  } catch (error) {
    say(`the package registries do not answer (${(error as Error).message.split("\n")[0]}); using what was known before`);
    return JSON.parse(last ?? '{"hosts":[],"addresses":[]}') as Registries;
  }
}
