// The world outside of the platform, as its egress proxy sees it: a DNS server with made-up names, and real servers behind them, on an address
// of loopback that stands for a public one.
import { lookup } from "node:dns/promises";
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import { createServer as createTcp, type Server } from "node:net";
import { createAuthority } from "@fnctl/control-plane/service/http/testing/authority";
import { startDns } from "../../single/src/example-servers/dns.ts";

/** Where the servers listen; the platform under test may reach it, and no other address of its own machine. */
export const ADDRESS = "127.77.0.1";
/** Names that lead elsewhere, as an attacker's would. */
const ODD: Record<string, string[]> = {
  "metadata.outside.test": ["169.254.169.254"],
  "private.outside.test": ["10.0.0.1"],
  "mixed.outside.test": [ADDRESS, "169.254.169.254"],
  "loopback.outside.test": ["127.0.0.1"],
};

/** What S3 answers when it is asked for one's buckets (Amazon S3 API, ListBuckets). */
const BUCKETS = `<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>1</ID></Owner><Buckets><Bucket><CreationDate>2026-01-01T00:00:00.000Z</CreationDate><Name>a-bucket</Name></Bucket></Buckets></ListAllMyBucketsResult>`;

export interface Outside {
  /** Settings by which the platform's egress proxy finds it. */
  env: Record<string, string>;
  /** PEM of the authority of `*.outside.test`. */
  ca: string;
  close(): Promise<void>;
}

async function addressesOf(name: string): Promise<string[]> {
  if (ODD[name] !== undefined) return ODD[name];
  if (name.endsWith(".outside.test")) return [ADDRESS];
  // Everything else is the machine's own resolver's, because builds reach their registries by the same proxy.
  return (await lookup(name, { all: true, family: 4 }).catch(() => [])).map(({ address }) => address);
}

const listen = (server: Server, port: number): Promise<void> => new Promise((resolve) => server.listen(port, ADDRESS, resolve));

export async function startOutside(): Promise<Outside> {
  const dns = await startDns("127.0.0.1", 0, addressesOf);
  const authority = await createAuthority("outside");
  const identity = await authority.issue("*.outside.test", "*.wild.outside.test");
  const answer = (scheme: string) => (request: IncomingMessage, response: ServerResponse) => {
    const host = request.headers.host ?? "";
    if (host.startsWith("s3.")) response.writeHead(200, { "content-type": "application/xml" }).end(BUCKETS);
    else response.end(`${scheme} ${host} ${request.url}`);
  };
  const servers: [Server, number][] = [
    [createHttps(identity, answer("https")), 443],
    [createHttp(answer("http")), 80],
    // A server that speaks first, as some databases do.
    [createTcp((socket) => socket.on("error", () => undefined).write(`ready\n`) && void socket.pipe(socket)), 5432],
  ];
  for (const [server, port] of servers) await listen(server, port);
  return {
    env: { FNCTL_EGRESS_DNS: `127.0.0.1:${dns.address().port}`, FNCTL_EGRESS_FUNCTION_PRIVATE: `${ADDRESS}/32` },
    ca: authority.ca,
    async close() {
      dns.close();
      for (const [server] of servers) server.close();
    },
  };
}
