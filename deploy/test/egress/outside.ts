// The world outside of the platform, as its egress proxy sees it: a DNS server with made-up names, and real servers behind them, on an address
// that stands for a public one.
import { createHash } from "node:crypto";
import { lookup } from "node:dns/promises";
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer as createHttp2, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { createServer as createTcp, type Server } from "node:net";
import type { Duplex } from "node:stream";
import { createAuthority } from "@fnctl/control-plane/service/http/testing/authority";
import type { Answer, Question } from "dns-packet";
import { addressRecords, startDns } from "../../single/src/example-servers/dns.ts";

/** A public address, which nothing here dials. */
const PUBLIC = "93.184.216.34";
/** Names that lead elsewhere, as an attacker's would. */
const odd = (address: string): Record<string, string[]> => ({
  "metadata.outside.test": ["169.254.169.254"],
  "private.outside.test": ["10.0.0.1"],
  "mixed.outside.test": [address, "169.254.169.254"],
  "loopback.outside.test": ["127.0.0.1"],
  ...Object.fromEntries(Array.from({ length: 13 }, (_, i) => [`shard${i + 1}.outside.test`, [PUBLIC]])),
});

/** What S3 answers when it is asked for one's buckets (Amazon S3 API, ListBuckets). */
const BUCKETS = `<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>1</ID></Owner><Buckets><Bucket><CreationDate>2026-01-01T00:00:00.000Z</CreationDate><Name>a-bucket</Name></Bucket></Buckets></ListAllMyBucketsResult>`;

export interface Outside {
  /** Where the servers listen; the platform under test may reach it, and no other address of its own machine. */
  address: string;
  /** `host:port` of the name server. */
  dns: string;
  /** From now on a name leads there. */
  lead(name: string, addresses: string[]): void;
  /** PEM of the authority of `*.outside.test`. */
  ca: string;
  close(): Promise<void>;
}

async function addressesOf(name: string, names: ReadonlyMap<string, string[]>, outside: string): Promise<string[]> {
  const strange = names.get(name);
  if (strange !== undefined) return strange;
  if (name.endsWith(".outside.test")) return [outside];
  // Everything else is the machine's own resolver's, because builds reach their registries by the same proxy.
  return (await lookup(name, { all: true, family: 4 }).catch(() => [])).map(({ address }) => address);
}

/** Servers of a service, more than a datagram of 512 bytes holds. */
const shards = (name: string): Answer[] =>
  Array.from({ length: 15 }, (_, i) => ({
    type: "SRV",
    name,
    ttl: 1,
    data: { port: 27_017, priority: 0, weight: 0, target: `shard${i}.outside.test` },
  }));

const answersOf = (question: Question, found: readonly string[]): Answer[] =>
  question.type === "SRV" ? shards(question.name) : addressRecords(question, found);

/** A WebSocket server that says the client's first short text once more (RFC 6455 sections 4.2.2 and 5.2). */
function echoFrame(request: IncomingMessage, socket: Duplex): void {
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`);
  socket.once("data", (frame: Buffer) => {
    const mask = frame.subarray(2, 6);
    const text = frame.subarray(6, 6 + (frame[1]! & 0x7f)).map((byte, i) => byte ^ mask[i % 4]!);
    socket.write(Buffer.concat([Buffer.of(0x81, text.length), text]));
  });
  socket.on("error", () => undefined);
}

/** `address`: this machine's own. */
export async function startOutside(address: string): Promise<Outside> {
  const names = new Map(Object.entries(odd(address)));
  const dns = await startDns(address, 0, (name) => addressesOf(name, names, address), answersOf);
  const authority = await createAuthority("outside");
  const identity = await authority.issue("*.outside.test", "*.wild.outside.test");
  const answer = (scheme: string) => (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse) => {
    const host = request.headers.host ?? request.headers[":authority"]?.toString() ?? "";
    const by = request.httpVersion === "2.0" ? "h2" : scheme;
    response.setHeader("content-type", host.startsWith("s3.") ? "application/xml" : "text/plain");
    response.end(host.startsWith("s3.") ? BUCKETS : `${by} ${host} ${request.url}`);
  };
  const servers: [Server, number][] = [
    [createHttp2({ ...identity, allowHTTP1: true }, answer("https")), 443],
    [createHttp(answer("http")).on("upgrade", echoFrame), 80],
    // A server that speaks first, as some databases do.
    [createTcp((socket) => socket.on("error", () => undefined).write(`ready\n`) && void socket.pipe(socket)), 5432],
  ];
  for (const [server, port] of servers) await new Promise<void>((resolve) => server.listen(port, address, resolve));
  return {
    address,
    dns: `${address}:${dns.address().port}`,
    lead: (name, addresses) => void names.set(name, addresses),
    ca: authority.ca,
    async close() {
      dns.close();
      for (const [server] of servers) server.close();
    },
  };
}
