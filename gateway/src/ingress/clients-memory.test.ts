// What clients can make the gateway hold: requests that they send before they have their answers, answers that they do not take, and bodies.
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Platform, TOKEN, sleep, until } from "../testing/platform.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { Upstream } from "../testing/upstream.ts";

const REQUEST = `GET / HTTP/1.1\r\nhost: hello--acme.localhost\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`;
const LARGE = Buffer.alloc(64 * 1024, "x");
let platform: Platform;
let sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await platform.stop();
});

/** `address`: of the client. */
async function dial(address = "127.0.0.1"): Promise<Socket> {
  const socket = connect({ port: platform.port, host: "127.0.0.1", localAddress: address });
  sockets.push(socket);
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

describe("requests that are sent before the answer", () => {
  /** A read holds many more than these, so that both sides of each limit are in one. */
  const FEW = { pipelinedPerConnection: 64, pipelinedPerAddress: 512 };
  let running = 0;
  let most = 0;
  const answers: (() => void)[] = [];
  const counting = (): Promise<Upstream> =>
    platform.upstream((_request, answer) => {
      running += 1;
      most = Math.max(most, running);
      answers.push(() => {
        running -= 1;
        answer.end("ok");
      });
    });
  const answerAll = async (count: number) => {
    for (let answered = 0; answered < count; answered += 1) {
      await until(() => answers.length > 0);
      answers.shift()!();
    }
  };

  it("run one after the other, as many as may wait; one more cuts the connection", async () => {
    platform = await new Platform().start({}, undefined, { limits: FEW });
    await platform.serve(await counting());
    const most_ = FEW.pipelinedPerConnection + 1;
    const within = await dial();
    let text = "";
    within.on("data", (chunk: Buffer) => (text += chunk.toString()));
    within.write(REQUEST.repeat(most_));
    await until(async () => (await platform.gauge("pipelined")) === most_ - 1);
    await answerAll(most_);
    await until(() => text.split("HTTP/1.1 200").length - 1 === most_);
    expect([most, await platform.gauge("pipelined")]).toEqual([1, 0]);

    const beyond = await dial();
    const closed = new Promise((resolve) => beyond.once("close", resolve));
    beyond.write(REQUEST.repeat(most_ + 1));
    await closed;
    await until(async () => (await platform.gauge("in_flight")) === 0 && (await platform.gauge("pipelined")) === 0);
  });

  it("are forgotten with their connection; one more may run, before it is seen that nobody takes its answer", async () => {
    platform = await new Platform().start({}, undefined, { limits: FEW });
    answers.length = running = 0;
    await platform.serve(await counting());
    const socket = await dial();
    socket.write(REQUEST.repeat(10));
    await until(async () => (await platform.gauge("pipelined")) === 9);
    socket.destroy();
    await answerAll(1);
    await until(async () => (await platform.gauge("in_flight")) === 0 && (await platform.gauge("pipelined")) === 0);
    expect(answers.length).toBeLessThanOrEqual(1);
  });

  it("that come one by one are left unread while one waits, and hundreds of them are served", async () => {
    platform = await new Platform().start();
    answers.length = running = 0;
    await platform.serve(await counting());
    const socket = await dial();
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    for (let i = 0; i < 300; i += 1) {
      socket.write(REQUEST);
      await sleep(1);
    }
    expect(await platform.gauge("pipelined")).toBeLessThan(30);
    await answerAll(300);
    await until(() => text.split("HTTP/1.1 200").length - 1 === 300);
  });

  it("wait for so long: a client that has gone meanwhile, which nobody sees, holds nothing for ever", async () => {
    platform = await new Platform().start({}, undefined, { limits: { ...FEW, pipelineWaitMs: 300 } });
    answers.length = running = 0;
    await platform.serve(await counting(), { timeoutMs: 60_000 });
    const socket = await dial();
    socket.write(REQUEST + REQUEST);
    await until(async () => (await platform.gauge("pipelined")) === 1);
    socket.destroy();
    await until(async () => (await platform.gauge("in_flight")) === 0 && (await platform.gauge("connections")) === 0);
    expect(await platform.gauge("pipelined")).toBe(0);
  });

  it("of one address wait up to its share; another address' are not cut for it", async () => {
    platform = await new Platform().start({}, undefined, { limits: FEW });
    answers.length = running = 0;
    await platform.serve(await counting(), { max: 1, concurrency: 1 }, { slots: 1 });
    const each = FEW.pipelinedPerConnection;
    const greedy = await Promise.all(Array.from({ length: FEW.pipelinedPerAddress / each + 1 }, () => dial("127.0.0.2")));
    for (const socket of greedy) socket.write(REQUEST.repeat(each + 1));
    await until(() => greedy.some(({ destroyed }) => destroyed));
    await until(async () => (await platform.gauge("pipelined")) === FEW.pipelinedPerAddress);
    const other = await dial("127.0.0.3");
    other.write(REQUEST + REQUEST);
    await until(async () => (await platform.gauge("pipelined")) === FEW.pipelinedPerAddress + 1);
  });

  it("with a body are read when it is their turn", async () => {
    platform = await new Platform().start({}, undefined, { limits: FEW });
    await platform.serve(
      await platform.upstream((request, answer) => {
        let bytes = 0;
        request.on("data", (chunk: Buffer) => (bytes += chunk.length)).on("end", () => setTimeout(() => answer.end(`got ${bytes};`), 20));
      }),
    );
    const socket = await dial();
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const post = (bytes: number) => `${REQUEST.replace("GET", "POST").trimEnd()}\r\ncontent-length: ${bytes}\r\n\r\n${"b".repeat(bytes)}`;
    socket.write(post(10) + post(300_000) + REQUEST + post(1_000));
    await until(() => text.includes("got 1000;"));
    expect(text.match(/got \d+/g)).toEqual(["got 10", "got 300000", "got 0", "got 1000"]);
  });
});

/** More than what the kernel keeps for both sides, so that the gateway's own buffers move. */
function takeSome(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    let left = 12 * 1024 * 1024;
    socket.on("data", function take(chunk: Buffer) {
      left -= chunk.length;
      if (left > 0) return;
      socket.off("data", take).pause();
      resolve();
    });
    socket.resume();
  });
}

describe("answers that a client does not take", () => {
  const ROOM = { all: 3 * 1024 * 1024, perAddress: 2 * 1024 * 1024 };
  const TIGHT = { stalledWriteMs: 400, held: { bodies: ROOM, answers: ROOM } };
  const endless = () =>
    platform.upstream((_request, answer) => {
      answer.on("error", () => undefined);
      const more = () => {
        while (!answer.destroyed && answer.write(LARGE));
      };
      answer.on("drain", more);
      more();
    });

  it("are waited for as long as it takes something, and cut when it takes nothing", async () => {
    platform = await new Platform().start({}, undefined, { limits: TIGHT });
    await platform.serve(await endless());
    const slow = await dial();
    const gone = new Promise((resolve) => slow.once("close", resolve));
    slow.write(REQUEST);
    for (let turn = 0; turn < 10; turn += 1) {
      await takeSome(slow);
      await sleep(150);
    }
    expect(await platform.gauge("in_flight")).toBe(1);
    await until(async () => (await platform.gauge("held_bytes")) > 0);
    await until(async () => (await platform.gauge("in_flight")) === 0);
    slow.resume();
    await gone;
    await until(async () => (await platform.gauge("held_bytes")) === 0);
  });

  it("of one address are held up to its limit; others are served", async () => {
    platform = await new Platform().start({}, undefined, { limits: { ...TIGHT, stalledWriteMs: 60_000 } });
    await platform.serve(await endless(), { concurrency: 200 }, { slots: 200 });
    const greedy = await Promise.all(Array.from({ length: 60 }, () => dial("127.0.0.2")));
    for (const socket of greedy) socket.pause().write(REQUEST);
    await until(async () => (await platform.gauge("refused_held_total")) > 0);
    expect(await platform.gauge("held_bytes")).toBeLessThanOrEqual(ROOM.perAddress);
    const other = await dial("127.0.0.3");
    let bytes = 0;
    other.on("data", (chunk: Buffer) => (bytes += chunk.length));
    other.write(REQUEST);
    await until(() => bytes > 10 * 1024 * 1024);
  });
});

describe("bodies that are gathered", () => {
  const ROOM = { all: 1024 * 1024, perAddress: 100_000 };
  /** Announces 60,000 bytes and sends so many of them. */
  const drip = async (address: string, sent: number): Promise<{ socket: Socket; answer: Promise<string> }> => {
    const socket = await dial(address);
    const answer = new Promise<string>((resolve) => socket.once("data", (chunk: Buffer) => resolve(chunk.toString())));
    socket.write(`${REQUEST.replace("GET", "POST").trimEnd()}\r\ncontent-length: 60000\r\n\r\n${"b".repeat(sent)}`);
    return { socket, answer };
  };
  const heldBytes = () => platform.gauge("held_bytes");
  async function serve(): Promise<void> {
    platform = await new Platform().start({}, undefined, { limits: { held: { bodies: ROOM, answers: GATEWAY_LIMITS.held.answers } } });
    await platform.serve(await platform.upstream((request, answer) => void request.resume().on("end", () => answer.end("ok"))));
  }

  it("are held up to the limit of their address; one more is refused with 429, and another address' is not", async () => {
    await serve();
    const first = await drip("127.0.0.2", 59_000);
    await until(async () => (await heldBytes()) === 59_000);
    expect(await (await drip("127.0.0.2", 41_001)).answer).toContain("RATE_LIMITED");
    const fits = await drip("127.0.0.2", 40_000);
    const other = await drip("127.0.0.3", 59_999);
    await until(async () => (await heldBytes()) === 158_999);
    for (const [{ socket, answer }, bytes] of [
      [first, 1_000],
      [other, 1],
      [fits, 20_000],
    ] as const) {
      socket.write("b".repeat(bytes));
      expect(await answer).toMatch(/^HTTP\/1\.1 200/);
      socket.destroy();
    }
    await until(async () => (await heldBytes()) === 0);
  });
  it("are held as they come: heads that announce them take no room from anybody", async () => {
    await serve();
    for (let i = 0; i < 100; i += 1) await drip(`127.0.0.${2 + (i % 50)}`, 1);
    await until(async () => (await heldBytes()) === 100 * 256); // the least that is kept for any
    const whole = await drip("127.0.0.2", 60_000);
    expect(await whole.answer).toMatch(/^HTTP\/1\.1 200/);
  });
  it("behind a trusted proxy are of the client that it names", async () => {
    platform = await new Platform().start({ FNCTL_TRUSTED_PROXIES: "127.0.0.1" }, undefined, {
      limits: { held: { bodies: ROOM, answers: GATEWAY_LIMITS.held.answers } },
    });
    await platform.serve(await platform.upstream((request, answer) => void request.resume().on("end", () => answer.end("ok"))));
    const from = (client: string) => ({ method: "POST", body: "b".repeat(60_000), headers: { "x-forwarded-for": `192.0.2.9, ${client}` } });
    const held = await dial();
    held.write(
      `${REQUEST.replace("GET", "POST").trimEnd()}\r\nx-forwarded-for: 192.0.2.1\r\ncontent-length: 60000\r\n\r\n${"b".repeat(59_000)}`,
    );
    await until(async () => (await heldBytes()) === 59_000);
    expect((await platform.call("/", from("192.0.2.1"))).status).toBe(429);
    expect((await platform.call("/", from("192.0.2.2"))).status).toBe(200);
  });
});
