// The process of `npm run up -- --example-servers`: an HTTPS API about the weather, and the DNS server that knows its name.
import { lookup } from "node:dns/promises";
import { createServer } from "node:https";
import { startDns } from "./dns.ts";
import { ADDRESS, DOMAIN, PORTS } from "./names.ts";

const { FNCTL_EXAMPLE_CERT: cert = "", FNCTL_EXAMPLE_KEY: key = "" } = process.env;
const CELSIUS: Record<string, number> = { Oslo: 4, Cairo: 29, Lima: 18 };

const server = createServer({ cert, key }, (request, response) => {
  const city = new URL(request.url ?? "/", "https://unused").searchParams.get("city") ?? "";
  const known = Object.hasOwn(CELSIUS, city);
  response.writeHead(known ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(known ? { city, celsius: CELSIUS[city] } : { error: `known are ${Object.keys(CELSIUS).join(", ")}` }));
});
await new Promise<void>((resolve, reject) => server.once("error", reject).listen(PORTS.https, ADDRESS, resolve));
// Everything else is the machine's own resolver's, because builds ask this server for their registries.
const others = async (name: string) => (await lookup(name, { all: true, family: 4 }).catch(() => [])).map(({ address }) => address);
await startDns(ADDRESS, PORTS.dns, async (name) => (name.endsWith(DOMAIN) ? [ADDRESS] : others(name)));
process.on("SIGTERM", () => process.exit(0));
