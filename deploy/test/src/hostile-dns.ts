// A DNS server whose answers are an attacker's, over UDP and TCP.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { decode, encode, streamEncode, type Answer, type DecodedPacket, type Packet } from "dns-packet";

/** Where servers are that functions may reach, and where they must not come. */
export const PUBLIC = { v4: "93.184.216.34", other: "93.184.216.35", v6: "2606:4700::1111" };
export const CLOSED = {
  metadata: "169.254.169.254",
  inside: "10.0.0.1",
  nat64: "64:ff9b::a9fe:a9fe",
  sixToFour: "2002:a9fe:a9fe::1",
  local: "fd00:ec2::254",
};

/** `count`: which question of this name and type it is, from 1. Undefined: it is never answered. */
type Say = (count: number) => Answer[] | undefined;
const a =
  (...addresses: string[]): Say =>
  () =>
    addresses.map((data) => ({ type: "A", name: "", ttl: 0, data }));
const aaaa =
  (...addresses: string[]): Say =>
  () =>
    addresses.map((data) => ({ type: "AAAA", name: "", ttl: 0, data }));
const many = (count: number, last: string): Say => a(...Array.from({ length: count - 1 }, (_, i) => `93.184.${i >> 8}.${i & 255}`), last);

export const SRV_COUNT = 100;
const NAMES: Record<string, Record<string, Say>> = {
  "good.example": { A: a(PUBLIC.v4), TXT: () => [{ type: "TXT", name: "", ttl: 0, data: [Buffer.from([0xff, 0x00, 0x41]), "b"] }] },
  "sixth.example": { AAAA: aaaa(PUBLIC.v6) },
  "rebinding.example": { A: (count) => a(count === 1 ? PUBLIC.v4 : CLOSED.metadata)(count) },
  "mixed.example": { A: a(PUBLIC.v4, CLOSED.inside) },
  "families.example": { A: a(PUBLIC.v4), AAAA: aaaa(CLOSED.local) },
  "alias.example": {
    A: () => [
      { type: "CNAME", name: "alias.example", ttl: 0, data: "inside.internal" },
      { type: "A", name: "inside.internal", ttl: 0, data: CLOSED.inside },
    ],
  },
  "mapped.example": { AAAA: aaaa(`::ffff:${CLOSED.metadata}`) },
  "nat64.example": { AAAA: aaaa(CLOSED.nat64) },
  "sixtofour.example": { AAAA: aaaa(CLOSED.sixToFour) },
  "zero.example": { A: a("0.0.0.0") },
  "zeros.example": { AAAA: aaaa("::") },
  "loopback.example": { A: a("127.0.0.1") },
  "hundred.example": { A: many(100, CLOSED.metadata) },
  "dead.example": { A: many(100, "93.184.9.9") },
  "thousand.example": { A: many(1_000, "93.184.9.9") },
  "silent.example": { A: () => undefined, AAAA: () => undefined, SRV: () => undefined },
  "_mongodb._tcp.good.example": {
    SRV: () =>
      Array.from({ length: SRV_COUNT }, (_, i) => ({
        type: "SRV",
        name: "",
        ttl: 0,
        data: { priority: 0, weight: i, port: 27_017, target: `shard${i}.elsewhere.example` },
      })),
  },
};
const FAILED = 2;
const UNKNOWN = 3;
const DATAGRAM = 512;

function createAnswer(asked: string[]): (query: DecodedPacket) => Packet | undefined {
  const counts = new Map<string, number>();
  return ({ id = 0, questions: [question] = [] }) => {
    if (question === undefined) return { type: "response", id, flags: FAILED };
    const { type } = question;
    const name = question.name.toLowerCase();
    const key = `${type} ${name}`;
    asked.push(key);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    const say = NAMES[name];
    const answers = say?.[type] === undefined ? [] : say[type](counts.get(key)!);
    if (answers === undefined) return undefined;
    const named = answers.map((answer) => ({ ...answer, name: answer.name === "" ? question.name : answer.name }));
    return { type: "response", id, flags: say === undefined ? UNKNOWN : 0, questions: [question], answers: named };
  };
}

/** The questions, `TYPE name`, are put into `asked`. */
export async function startHostileDns(address: string, asked: string[]): Promise<void> {
  const answer = createAnswer(asked);
  const datagrams = createSocket("udp4");
  datagrams.on("message", (message, from) => {
    const packet = answer(decode(message));
    if (packet === undefined) return;
    const bytes = encode(packet);
    const cut = { ...packet, flags: (packet.flags ?? 0) | 0x0200, answers: [] };
    datagrams.send(bytes.length > DATAGRAM ? encode(cut) : bytes, from.port, from.address);
  });
  const streams = createServer((socket) => {
    let held = Buffer.alloc(0);
    socket
      .on("error", () => undefined)
      .on("data", (chunk: Buffer) => {
        held = Buffer.concat([held, chunk]);
        while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
          const length = 2 + held.readUInt16BE(0);
          const packet = answer(decode(held.subarray(2, length)));
          held = held.subarray(length);
          if (packet !== undefined) socket.write(streamEncode(packet));
        }
      });
  });
  await Promise.all([once(datagrams.bind(53, address), "listening"), once(streams.listen(53, address), "listening")]);
}
