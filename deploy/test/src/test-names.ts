// A DNS server on loopback, for a proxy that runs as a process of its own.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { decode, encode } from "dns-packet";

/** Names that have other addresses than loopback's usual one, or none, which are never answered. */
export type TestNames = Record<string, string | null>;

export async function startTestNames(names: TestNames): Promise<{ server: string; close(): void }> {
  const socket = createSocket("udp4");
  socket.on("message", (message, from) => {
    const { id = 0, questions: [question] = [] } = decode(message);
    if (question === undefined || names[question.name] === null) return;
    const address = { type: "A" as const, name: question.name, ttl: 0, data: names[question.name] ?? "127.0.0.1" };
    const answers = question.type === "A" ? [address] : [];
    socket.send(encode({ type: "response", id, questions: [question], answers }), from.port, from.address);
  });
  await once(socket.bind(0, "127.0.0.1"), "listening");
  return { server: `127.0.0.1:${socket.address().port}`, close: () => void socket.close() };
}
