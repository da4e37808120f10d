// A DNS server of A records, for names that are made up.
import { createSocket, type Socket } from "node:dgram";
import { decode, encode, type Answer, type Question, type StringAnswer } from "dns-packet";

const NXDOMAIN = 3;
const TTL_S = 1;

/** `addressesOf`: IPv4 addresses of a name in lower case; none: there is no such name. `answersOf`: what is answered of a name that there is. */
export async function startDns(
  address: string,
  port: number,
  addressesOf: (name: string) => Promise<string[]>,
  answersOf: (question: Question, addresses: readonly string[]) => Answer[] = addressRecords,
): Promise<Socket> {
  const server = createSocket("udp4");
  async function answer(message: Buffer): Promise<Buffer | undefined> {
    const { id = 0, questions = [] } = decode(message);
    const [question] = questions;
    if (question === undefined) return undefined;
    const found = await addressesOf(question.name.toLowerCase());
    const answers = answersOf(question, found);
    return encode({ type: "response", id, flags: found.length === 0 ? NXDOMAIN : 0, questions: [question], answers });
  }
  server.on("message", (message, asker) => {
    answer(message).then(
      (packet) => packet !== undefined && server.send(packet, asker.port, asker.address),
      () => undefined, // no DNS message: nobody waits for an answer to it
    );
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).bind(port, address, resolve));
  return server;
}

export const addressRecords = ({ type, name }: Question, addresses: readonly string[]): Answer[] =>
  type === "A" ? addresses.map((data): StringAnswer => ({ type: "A", name, ttl: TTL_S, data })) : [];
