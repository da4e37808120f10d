// Reports of unimplemented system calls: what is read from the Sentry's file, what is reported, and how often. The driver tests and e2e use
// a real sandbox.
import { randomUUID } from "node:crypto";
import { appendFile, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LogChannel } from "../../contract/logs.ts";
import { createCallReports, createSyscallWatch, type CallReports } from "./syscall-watch.ts";
import { createSegments, type Segments } from "./segments.ts";
import { UNIMPLEMENTED, adviceOn, callsIn, namesIn } from "./unimplemented-calls.ts";

const line = (name: string, args = "0x0,0x0,0x0,0x0,0x0,0x7ee600000000") =>
  `{"log":"compat.go:120] Unsupported syscall ${name}(${args}). It is likely that you can safely ignore this message","level":"info","time":"2026-01-02T03:04:05.678901234Z"}\n`;

test("only names of the known form are taken, and none that every process asks for", () => {
  const text = [
    line("vmsplice"),
    line("sys_9999"),
    line("rseq"),
    line("Not-A-Name"),
    line("x".repeat(33)),
    `{"log":"other.go:1] Unsupported syscall fake(`,
    "*** Dropped 3 log messages ***",
    line("io_uring_register"),
  ].join("");
  expect(callsIn(text)).toEqual(["vmsplice", "sys_9999", "io_uring_register"]);
});

test("a record can be read back", () => {
  expect(adviceOn(["vmsplice", "bpf"])).toContain("which this version made: bpf, vmsplice. If it needs them, set isolation: kata");
  expect(namesIn(adviceOn(["vmsplice", "bpf"]))).toEqual(["bpf", "vmsplice"]);
  expect(namesIn("anything else")).toEqual([]);
});

describe("a version's owner", () => {
  let folder: string;
  let file: string;
  let segments: Segments;
  let reports: CallReports;
  const channel: LogChannel = { instance: "a".repeat(20), tenantId: randomUUID(), functionId: randomUUID(), version: 3 };
  const fail = (error: unknown) => {
    throw error;
  };
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "fn-calls-"));
    file = path.join(folder, "gvisor.log");
    segments = createSegments(path.join(folder, "kept"), fail);
    reports = createCallReports(segments, fail);
  });
  afterEach(async () => {
    await segments.settle();
    await rm(folder, { recursive: true, force: true });
  });
  const open = (owner: () => LogChannel | undefined = () => channel, keepSmall = true) =>
    createSyscallWatch({ file, keepSmall, channel: owner, reports });
  async function told(): Promise<string[][]> {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return (await segments.read(channel, 100, undefined, () => true)).map(({ message }) => namesIn(message));
  }

  test("is told once, when the sandbox ends at the latest, with all of them", async () => {
    await writeFile(file, line("rseq") + line("vmsplice"));
    const watch = open();
    watch.look();
    await appendFile(file, line("userfaultfd").slice(0, 60));
    watch.look();
    await appendFile(file, line("userfaultfd").slice(60));
    expect(await told()).toEqual([]);
    watch.close();
    expect(await told()).toEqual([["userfaultfd", "vmsplice"]]);
  });

  test("is not told again by another instance or a later collector, only of what is new", async () => {
    await writeFile(file, line("vmsplice"));
    open().close();
    expect(await told()).toHaveLength(1);
    open().close();
    reports = createCallReports(segments, fail);
    open().close();
    expect(await told()).toEqual([["vmsplice"]]);
    await appendFile(file, line("bpf"));
    open().close();
    expect(await told()).toEqual([["vmsplice"], ["bpf", "vmsplice"]]);
  });

  /** Records the versions for which the log is read, in order. */
  function counted(refuse = false) {
    const asked: number[] = [];
    const failures: unknown[] = [];
    const read: Segments["read"] = (...args) => {
      asked.push((args[0] as LogChannel).version);
      return refuse ? Promise.reject(new Error("not now")) : segments.read(...args);
    };
    const part = { read, append: segments.append };
    return { asked, failures, mend: () => void (refuse = false), reports: createCallReports(part, (error) => void failures.push(error)) };
  }

  test("is told later when the log could not be read at first", async () => {
    const { failures, mend, reports: own } = counted(true);
    own.tell(channel, ["vmsplice"]);
    expect(await told()).toEqual([]);
    expect(failures).toHaveLength(1);
    mend();
    own.tell(channel, ["vmsplice"]);
    expect(await told()).toEqual([["vmsplice"]]);
  });

  test("is not told twice where more versions are told than are remembered: the log is asked again", async () => {
    const { asked, reports: own } = counted();
    const tell = (version: number) => own.tell({ ...channel, version }, ["vmsplice"]);
    const records = async () => (await segments.read(channel, 5_000, undefined, () => true)).length;
    for (let version = 1; version <= UNIMPLEMENTED.versions; version++) tell(version);
    expect(asked).toHaveLength(UNIMPLEMENTED.versions);
    await expect.poll(records, { timeout: 20_000, interval: 50 }).toBe(UNIMPLEMENTED.versions);
    tell(1); // version 1 is remembered, and is now the most recently used
    expect(asked).toHaveLength(UNIMPLEMENTED.versions);
    for (const version of [UNIMPLEMENTED.versions + 1, 1, 2]) tell(version);
    expect(asked.slice(UNIMPLEMENTED.versions)).toEqual([UNIMPLEMENTED.versions + 1, 2]);
    await told();
    expect(await records()).toBe(UNIMPLEMENTED.versions + 1);
  });

  test("is told nothing when there was nothing, no file, or the sandbox was nobody's", async () => {
    open().close();
    await writeFile(file, line("rseq"));
    open().close();
    await writeFile(file, line("vmsplice"));
    open(() => undefined).close();
    expect(await told()).toEqual([]);
  });

  test("is told of at most so many, and the file is kept small where nobody else does it", async () => {
    const names = Array.from({ length: UNIMPLEMENTED.names + 5 }, (_, index) => `sys_${1000 + index}`);
    await writeFile(file, names.map((name) => line(name)).join(""));
    const watch = open();
    watch.look();
    await appendFile(file, "x".repeat(UNIMPLEMENTED.emptyAboveBytes));
    watch.look();
    expect((await stat(file)).size).toBe(0);
    watch.close();
    expect((await told())[0]).toHaveLength(UNIMPLEMENTED.names);
  });

  test("is told of nothing beyond the bytes that are looked at", async () => {
    await writeFile(file, "x".repeat(UNIMPLEMENTED.fileBytes) + line("vmsplice"));
    open(() => channel, false).close();
    expect(await told()).toEqual([]);
    await writeFile(file, "x".repeat(UNIMPLEMENTED.fileBytes - line("bpf").length) + line("bpf"));
    open(() => channel, false).close();
    expect(await told()).toEqual([["bpf"]]);
  });
});
