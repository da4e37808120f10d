// A worker thread with an instance and its clients, whose own loop goes on while the gateway's is busy. The instance answers a request with its
// path; told to, it writes one more answer on each of its connections that has had a request and is free now.
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { Client } from "undici";

const { path, port, clients, busyPath } = workerData as { path: string; port: number; clients: number; busyPath: string };
/** What is written here keeps the gateway's loop busy for so many milliseconds; it is read after what came to the gateway before it. */
const busy = connect(busyPath);
const LATE = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nPOISONED";
const free = new Set<Socket>();
/** When each request came. */
const arrivals = new Map<string, number>();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, which has no origin
const tell = (message: unknown): void => parentPort!.postMessage(message);

createServer((socket) => {
  socket.on("error", () => {});
  socket.on("close", () => free.delete(socket));
  socket.on("data", (chunk: Buffer) => {
    const id = /GET \/(\S+)/.exec(chunk.toString())?.[1] ?? "";
    free.delete(socket);
    arrivals.set(id, performance.now());
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${id.length}\r\n\r\n${id}`, () => free.add(socket));
  });
}).listen(path, () => tell("listening"));

const clientsOf = Array.from({ length: clients }, () => new Client(`http://127.0.0.1:${port}`));
async function ask(client: Client, id: string): Promise<string> {
  try {
    const { statusCode, body } = await client.request({ path: `/${id}`, method: "GET", headers: { host: "hello--acme.localhost" } });
    return `${statusCode} ${await body.text()}`;
  } catch (error) {
    return String(error);
  }
}

/**
 * One round: all clients' connections are warm, and the gateway is busy when their next requests come; with them comes the word that keeps it
 * busy for longer, so that it has the requests, and while it has them the instance writes late bytes.
 */
async function round(number: number): Promise<string[]> {
  await Promise.all(clientsOf.map((client, i) => ask(client, `w${number}x${i}`)));
  busy.write("20");
  await sleep(5);
  const answers = clientsOf.map((client, i) => ask(client, `r${number}x${i}`));
  await sleep(5);
  busy.write("50");
  await sleep(25);
  for (const socket of free) socket.write(LATE);
  const written = performance.now();
  // What was written less than 5 ms before the request went out is that request's answer.
  const inTime = (await Promise.all(answers)).filter((_answer, i) => (arrivals.get(`r${number}x${i}`) ?? Infinity) - written >= 5);
  arrivals.clear();
  return inTime;
}
parentPort!.on("message", (number: number) => {
  void round(number).then((answers) => tell(answers));
});
