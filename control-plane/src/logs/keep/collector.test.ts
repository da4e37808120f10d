// The log collector as a process, with real named pipes and its real socket (SECURITY I3, D11).
import { spawn } from "node:child_process";
import { appendFile, open, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RECORD_MARK, logQuerySchema, type LogRecord } from "../../contract/logs.ts";
import { splitLines } from "../../service/http/lines.ts";
import { COLLECTOR } from "./limits.ts";
import { createCollectorHost, parseLines, type CollectorHost } from "./testing/collector-host.ts";

let host: CollectorHost;
beforeEach(async () => {
  host = await createCollectorHost();
  await host.start();
});
afterEach(() => host.close());

async function print(file: string, ...lines: string[]): Promise<void> {
  const pipe = await open(file, "w");
  for (const line of lines) await pipe.write(`${line}\n`);
  await pipe.close();
}
const record = (m: string, r: string, l = "info") => `${RECORD_MARK}${JSON.stringify({ l, r, m })}`;
const messages = (records: LogRecord[]) => records.map(({ message }) => message);
const soon = { timeout: 10_000, interval: 50 };

describe("lines", () => {
  test("of both pipes are kept under the owner that the driver named; before that nothing is", async () => {
    const one = await host.instance();
    await print(one.paths.stdout, "from nobody yet");
    await new Promise((resolve) => setTimeout(resolve, 200));
    await one.name();
    await print(one.paths.stdout, "out", record("marked", "request-0001", "warn"));
    await print(one.paths.stderr, "err");
    await expect.poll(async () => messages(await host.read(one.channel)).toSorted(), soon).toEqual(["err", "marked", "out"]);
    const records = await host.read(one.channel);
    expect(records.find(({ message }) => message === "err")).toMatchObject({ level: "error", source: "stderr", version: 3 });
    expect(records.find(({ message }) => message === "marked")).toMatchObject({ level: "warn", requestId: "request-0001" });
    const other = { ...one.channel, functionId: one.channel.tenantId };
    expect(await host.read(other)).toEqual([]);
  });

  test("are read to the last one, however many there are", async () => {
    const one = await host.instance();
    await one.name();
    const long = "x".repeat(10_000);
    for (let round = 0; round < 12; round++) {
      await print(one.paths.stdout, ...Array.from({ length: 80 }, (_, index) => `${round * 80 + index} ${long}`));
      await new Promise((resolve) => setTimeout(resolve, 1_000)); // stays below the rate limit
    }
    const numbers = async () => messages(await host.read(one.channel, { limit: "10000" })).map((text) => Number.parseInt(text));
    await expect.poll(numbers, soon).toEqual(Array.from({ length: 960 }, (_, index) => index));
  });

  test("are read by request id, version, time and number, oldest first", async () => {
    const one = await host.instance();
    await one.name();
    await print(one.paths.stdout, ...Array.from({ length: 20 }, (_, index) => record(`line ${index}`, `request-000${index % 2}`)));
    await expect.poll(async () => (await host.read(one.channel)).length, soon).toBe(20);
    expect(messages(await host.read(one.channel, { limit: "3" }))).toEqual(["line 17", "line 18", "line 19"]);
    expect(messages(await host.read(one.channel, { requestId: "request-0001", limit: "2" }))).toEqual(["line 17", "line 19"]);
    expect(await host.read(one.channel, { version: "4" })).toEqual([]);
    expect(await host.read(one.channel, { version: "3" })).toHaveLength(20);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const since = Date.now();
    await print(one.paths.stdout, "later");
    await expect.poll(async () => messages(await host.read(one.channel, { since: String(since) })), soon).toEqual(["later"]);
  });

  test("are followed as they come, after those that were there, none twice", async () => {
    const one = await host.instance();
    await one.name();
    await print(one.paths.stdout, "before");
    await expect.poll(async () => (await host.read(one.channel)).length, soon).toBe(1);
    const end = new AbortController();
    const query = logQuerySchema.parse({ follow: "true" });
    const lines = splitLines(await host.client.read(one.channel.tenantId, one.channel.functionId, query, end.signal), 1024 * 1024);
    const next = async () => parseLines((await lines.next()).value ?? "")[0]?.message;
    expect(await next()).toBe("before");
    await print(one.paths.stdout, "first", "second");
    expect([await next(), await next()]).toEqual(["first", "second"]);
    end.abort();
  });

  test("of a function that was removed are gone", async () => {
    const one = await host.instance();
    await one.name();
    await print(one.paths.stdout, "private");
    await expect.poll(async () => (await host.read(one.channel)).length, soon).toBe(1);
    const { tenantId, functionId } = one.channel;
    expect(await host.client.owners()).toEqual([{ tenantId, functionId }]);
    await host.client.remove(tenantId, functionId);
    expect(await host.client.owners()).toEqual([]);
    expect(await host.read(one.channel)).toEqual([]);
    expect(await readdir(path.join(host.logDir, one.channel.tenantId))).toEqual([]);
  });

  test("a platform's note is made safe like any other text", async () => {
    const { channel } = await host.instance();
    await host.client.note({ ...channel, level: "error", message: "exited: \u001b]0;x\u0007" });
    expect(await host.read(channel)).toMatchObject([{ source: "platform", level: "error", message: "exited: \\u001b]0;x\\u0007" }]);
  });
});

describe("a flood", () => {
  test("is kept up to the rate of an instance; the rest is one number, and another function's lines are all kept", async () => {
    const [loud, quiet] = [await host.instance(), await host.instance()];
    await loud.name();
    await quiet.name();
    const LINES = 50_000;
    const flood = await open(loud.paths.stdout, "w");
    const flooding = flood.write("y\n".repeat(LINES)).then(() => flood.close());
    await print(quiet.paths.stdout, "still heard");
    await flooding;
    await expect.poll(async () => messages(await host.read(quiet.channel)), soon).toEqual(["still heard"]);
    const all = async () => host.read(loud.channel, { limit: "10000" });
    const dropped = (records: LogRecord[]) =>
      records.filter(({ source }) => source === "platform").reduce((sum, { message }) => sum + Number.parseInt(message, 10), 0);
    const kept = (records: LogRecord[]) => records.filter(({ source }) => source === "stdout").length;
    await expect.poll(async () => dropped(await all()) + kept(await all()), soon).toBe(LINES);
    expect(kept(await all())).toBeLessThanOrEqual(5 * 1000); // one second's worth of lines for each second that the flood took
    expect((await all()).find(({ source }) => source === "platform")?.message).toMatch(/^\d+ lines dropped/);
  });
});

test("a pipe that is flooded with line ends is left full, while others are read", async () => {
  const [loud, quiet] = [await host.instance(), await host.instance()];
  await loud.name();
  await quiet.name();
  const script = `const { writeSync } = require("fs"); const ends = Buffer.alloc(65536, 10);
    process.on("message", () => process.send(written)); let written = 0;
    (function more() { written += writeSync(1, ends); setImmediate(more); })();`;
  const stdout = await open(loud.paths.stdout, "w");
  const writer = spawn(process.execPath, ["-e", script], { stdio: ["ignore", stdout.fd, "inherit", "ipc"] });
  await stdout.close();
  const ended = new Promise((resolve) => writer.on("exit", resolve));
  const written = () => new Promise<number>((resolve) => void (writer.once("message", resolve as never), writer.send({})));
  const begun = Date.now();
  const before = await written();
  await print(quiet.paths.stdout, "still heard");
  await expect.poll(async () => messages(await host.read(quiet.channel)), soon).toEqual(["still heard"]);
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  const lines = (await written()) - before;
  writer.kill("SIGKILL");
  await ended;
  const [seconds, inPipe] = [(Date.now() - begun) / 1000, 4 * 65_536];
  expect(lines).toBeLessThan((seconds + 1) * COLLECTOR.readInstance.lines + inPipe);
});

describe("the collector's end", () => {
  test.each(["SIGKILL", "SIGTERM"] as const)("by %s loses nothing that was written, and the next reads the same pipes", async (signal) => {
    const one = await host.instance();
    await one.name();
    await print(one.paths.stdout, "before");
    await expect.poll(async () => (await host.read(one.channel)).length, soon).toBe(1);
    await host.kill(signal);
    await print(one.paths.stdout, "while away");
    await host.start();
    await print(one.paths.stdout, "after");
    await expect.poll(async () => messages(await host.read(one.channel)), soon).toEqual(["before", "while away", "after"]);
    const seqs = (await host.read(one.channel)).map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  });

  test("by SIGTERM keeps the line that was begun", async () => {
    const one = await host.instance();
    await one.name();
    const pipe = await open(one.paths.stdout, "w");
    await pipe.write("whole\nbegun");
    await expect.poll(async () => (await host.read(one.channel)).length, soon).toBe(1);
    await host.kill("SIGTERM");
    await pipe.close();
    await host.start();
    expect(messages(await host.read(one.channel))).toEqual(["whole", "begun"]);
  });

  test("in the middle of a write costs the half line only, not the first one after it", async () => {
    const one = await host.instance();
    await one.name();
    await print(one.paths.stdout, "before");
    await expect.poll(async () => (await host.read(one.channel)).length, soon).toBe(1);
    await host.kill("SIGKILL");
    const folder = path.join(host.logDir, one.channel.tenantId, one.channel.functionId);
    await appendFile(path.join(folder, (await readdir(folder))[0]!), '{"at":1,"seq":2,"lev');
    await host.start();
    await print(one.paths.stdout, "after");
    await expect.poll(async () => messages(await host.read(one.channel)), soon).toEqual(["before", "after"]);
  });

  test("does not end a writer; a full pipe holds it until the next collector is there, and then nothing is missing", async () => {
    const one = await host.instance();
    await one.name();
    await host.kill("SIGKILL");
    // 200 KiB: more than a pipe holds (pipe(7): 64 KiB), in few enough lines to stay below the rate.
    const script = `for (let i = 0; i < 200; i++) require("fs").writeSync(1, String(i).padEnd(1023, ".") + "\\n");`;
    const stdout = await open(one.paths.stdout, "w");
    const writer = spawn(process.execPath, ["-e", script], { stdio: ["ignore", stdout.fd, "inherit"] });
    await stdout.close();
    const ended = new Promise((resolve) => writer.on("exit", (code, signal) => resolve(signal ?? code)));
    const early = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1_000, "waits"))]);
    expect(early).toBe("waits");
    await host.start();
    expect(await ended).toBe(0);
    await expect.poll(async () => (await host.read(one.channel, { limit: "1000" })).length, soon).toBe(200);
  });
});

test("the only line of an instance that ended as soon as it had a name is kept under that name", async () => {
  const one = await host.instance();
  const theirs = async () => (await host.openFiles()).filter((file) => file.startsWith(one.paths.logFolder)).length;
  await expect.poll(theirs, soon).toBe(3); // two pipes and the Sentry's file
  await one.name();
  await new Promise((resolve) => setTimeout(resolve, 100)); // in a real start, loading and importing take longer than this
  const pipe = await open(one.paths.stderr, "w");
  await rm(one.paths.logFolder, { recursive: true });
  await pipe.write("SyntaxError\n");
  await pipe.close();
  await expect.poll(async () => messages(await host.read(one.channel)), soon).toEqual(["SyntaxError"]);
});

test("an instance's end lets its pipes go, after all that was in them", async () => {
  const one = await host.instance();
  await one.name();
  await print(one.paths.stdout, "last words");
  const theirs = async () => (await host.openFiles()).filter((file) => file.startsWith(one.paths.logFolder)).length;
  await expect.poll(theirs, soon).toBe(3); // two pipes and the Sentry's file
  await one.end();
  await expect.poll(theirs, soon).toBe(0);
  // Lines are written out a moment after they were taken from the pipe.
  await expect.poll(async () => messages(await host.read(one.channel)), soon).toEqual(["last words"]);
});
