// The log agent on real files: which lines are kept, and that rotation, deletion and restarts lose none (SECURITY I3, D11).
import { appendFile, mkdir, readFile, readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../contract/limits.ts";
import { RECORD_MARK } from "../../contract/logs.ts";
import { createCallReports } from "../keep/syscall-watch.ts";
import { createSegments } from "../keep/segments.ts";
import { AGENT } from "./limits.ts";
import { createPod, podFolder } from "./pod.ts";
import { createPodFiles, inOrder } from "./pod-files.ts";
import { createNode, type Node } from "./testing/node.ts";

let node: Node;
beforeEach(async () => {
  node = await createNode();
});
afterEach(() => node.close());
const soon = { timeout: 15_000, interval: 50 };
/** Waits until the agent has looked at all files. */
const looked = () => new Promise((resolve) => setTimeout(resolve, AGENT.pollMs * 3));
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `line ${from + index}`);

describe("whose lines", () => {
  test("the control plane says it, and then all of them are kept, those from before too", async () => {
    const pod = await node.pod();
    await node.start();
    await pod.print("early", `${RECORD_MARK}${JSON.stringify({ l: "warn", r: "request-0001", m: "marked" })}`);
    await looked();
    expect(await node.messages(pod.channel)).toEqual([]);
    pod.name();
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(["early", "marked"]);
    expect((await node.read(pod.channel))[1]).toMatchObject({ level: "warn", requestId: "request-0001", version: 3, source: "stdout" });
  });

  test("a pod that the answer gives to another tenant than its namespace is nobody's", async () => {
    const [mine, other] = [await node.pod(), await node.pod()];
    mine.name({ tenantId: other.channel.tenantId });
    other.name();
    await node.start();
    await mine.print("not yours");
    await other.print("yours");
    await expect.poll(() => node.messages(other.channel), soon).toEqual(["yours"]);
    await looked();
    expect(await node.messages({ ...mine.channel, tenantId: other.channel.tenantId })).toEqual([]);
    expect(await node.messages(mine.channel)).toEqual([]);
    expect(String(node.errors[0])).toContain("another tenant's");
  });

  test.each([
    ["of another namespace", "kube-system"],
    ["of another platform", "other-00000000-0000-4000-8000-000000000000"],
    ["of a namespace that only begins like a tenant's", "fnctl-00000000-0000-4000-8000-000000000000-x"],
    ["of a namespace that is no tenant's", "fnctl-system"],
  ])("a pod %s is not even asked about", async (_what, namespace) => {
    const [stranger, own] = [await node.pod({ namespace }), await node.pod()];
    for (const each of [stranger, own]) each.name();
    await node.start();
    await stranger.print("secret");
    await own.print("shown");
    await expect.poll(() => node.messages(own.channel), soon).toEqual(["shown"]);
    expect(node.asked.flat()).not.toContain(stranger.channel.instance);
  });

  test("a link in the place of a log is not followed", async () => {
    const pod = await node.pod();
    const secret = path.join(node.folder, "secret");
    await writeFile(secret, pod.line("secret"));
    await symlink(secret, path.join(path.dirname(pod.file), "1.log"));
    pod.name();
    await pod.print("own");
    await node.start();
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(["own"]);
    await looked();
    expect(await node.messages(pod.channel)).toEqual(["own"]);
  });
});

describe("no line is lost and none is doubled", () => {
  test("over rotations", async () => {
    const pod = await node.pod();
    pod.name();
    await node.start();
    for (let round = 0; round < 4; round++) {
      await pod.print(...numbered(round * 10, round * 10 + 9));
      const old = pod.line(`line ${round * 10 + 9}`);
      await pod.rotate(`20260102-03040${round}`);
      // The runtime writes to the renamed file until it is told to open a new one.
      await appendFile(`${pod.file}.20260102-03040${round}`, old);
      if (round % 2 === 0) await looked();
    }
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(numbered(0, 40));
  });

  test("when the pod is removed, with its files, before anybody said whose it was", async () => {
    const pod = await node.pod();
    await node.start();
    await pod.print("first");
    await looked();
    await pod.print("last words");
    await pod.remove();
    await looked();
    pod.name();
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(["first", "last words"]);
  });

  test("when the agent ends and begins again, after files were rotated in between", async () => {
    const pod = await node.pod();
    pod.name();
    await node.start();
    await pod.print(...numbered(0, 10));
    await expect.poll(() => node.messages(pod.channel), soon).toHaveLength(10);
    await node.stop();
    await pod.print(...numbered(10, 15));
    await pod.rotate("20260102-030405");
    await pod.print(...numbered(15, 20));
    await node.start();
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(numbered(0, 20));
    await looked();
    expect(await node.messages(pod.channel)).toEqual(numbered(0, 20));
  });

  test("when it was killed after it kept lines and before it wrote down how far", async () => {
    const pod = await node.pod();
    pod.name();
    await node.start();
    await pod.print("same", "same");
    await expect.poll(() => readFile(node.stateFile, "utf8"), soon).toContain(pod.channel.functionId);
    await expect.poll(() => node.messages(pod.channel), soon).toHaveLength(2);
    await new Promise((resolve) => setTimeout(resolve, AGENT.checkpointMs * 2));
    const before = await readFile(node.stateFile, "utf8");
    const kept = [pod.line("same"), pod.line("same"), pod.line("other"), pod.line("cut in ", "stdout", "P")];
    await pod.raw(kept.join(""));
    await expect.poll(() => node.messages(pod.channel), soon).toHaveLength(5);
    await node.stop();
    await writeFile(node.stateFile, before);
    await pod.raw(`${pod.line("two")}${kept[0]}`);
    await node.start();
    const all = ["same", "same", "same", "same", "other", "cut in two", "same"];
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(all);
  });

  test("what the node has rotated away is said to be lost, and reading goes on", async () => {
    const pod = await node.pod();
    pod.name();
    await node.start();
    await pod.print("kept");
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(["kept"]);
    await node.stop();
    await pod.rotate("20260102-030405");
    await rm(`${pod.file}.20260102-030405`);
    await pod.print("after");
    await node.start();
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(["kept", expect.stringContaining("some lines are lost"), "after"]);
  });
});

describe("bounds", () => {
  test("the rate goes by when lines were written, not by when they are read", async () => {
    const pod = await node.pod();
    const at = (second: number, index: number) =>
      `2026-01-02T03:04:0${second}.${String(index).padStart(4, "0")}Z stdout F ${second}-${index}\n`;
    const most = LIMITS.logLinesPerSecond;
    await pod.raw(Array.from({ length: most }, (_, index) => at(1, index)).join(""));
    await pod.raw(Array.from({ length: most + 7 }, (_, index) => at(2, index)).join(""));
    pod.name();
    await node.start();
    await expect.poll(async () => (await node.messages(pod.channel)).at(-1), soon).toContain("7 lines dropped");
    expect(await node.messages(pod.channel)).toHaveLength(2 * most + 1);
  });

  test("an instance that is far ahead costs its own lines, and a neighbour's come all the same", async () => {
    const [flood, neighbour] = [await node.pod(), await node.pod()];
    for (const each of [flood, neighbour]) each.name();
    const block = flood.line("x".repeat(1000)).repeat(4096);
    for (let bytes = 0; bytes <= AGENT.lagBytes; bytes += block.length) await flood.raw(block);
    await flood.raw(flood.line("the end"));
    await neighbour.print("here");
    await node.start();
    await expect.poll(() => node.messages(neighbour.channel), soon).toEqual(["here"]);
    await expect.poll(async () => (await node.messages(flood.channel)).join("\n"), soon).toMatch(/some lines are lost/);
  });

  test("files that the kubelet removed are let go of while nobody says whose they are", async () => {
    const pod = await node.pod();
    const files = createPodFiles({ folder: path.dirname(pod.file), saved: undefined, onMove: () => undefined });
    for (let round = 0; round < AGENT.filesPerPod * 2; round++) {
      await pod.print(`line ${round}`);
      files.look();
      await pod.rotate(`20260102-0304${String(round).padStart(2, "0")}`);
      await rm(`${pod.file}.20260102-0304${String(round).padStart(2, "0")}`);
    }
    const open = await Promise.all((await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
    expect(open.filter((file) => file.startsWith(pod.folder))).toHaveLength(AGENT.filesPerPod);
    files.close();
  });

  test("a file that cannot be read costs nobody else's lines", async () => {
    const pods = await Promise.all(Array.from({ length: 4 }, () => node.pod()));
    for (const pod of pods) pod.name();
    const [broken, ...others] = (await readdir(node.root)).map((name) => pods.find(({ folder }) => path.basename(folder) === name)!);
    await rm(broken!.file);
    await mkdir(broken!.file);
    await Promise.all(others.map((pod) => pod.print("here")));
    await node.start();
    for (const pod of others) await expect.poll(() => node.messages(pod.channel), soon).toEqual(["here"]);
    expect(String(node.errors[0])).toContain("EISDIR");
  });

  test("a hostile line is one harmless record", async () => {
    const pod = await node.pod();
    pod.name();
    await node.start();
    await pod.print("\u001b]0;owned\u0007", `${RECORD_MARK}{"m":"x","tenantId":"y"}`);
    await expect.poll(() => node.messages(pod.channel), soon).toEqual(["\\u001b]0;owned\\u0007", "x"]);
  });
});

describe("what is on a node", () => {
  test("is followed up to a number of pods, and the others when those are gone; what they printed waits in their files", async () => {
    const first = await node.pod();
    const others = await Promise.all(Array.from({ length: AGENT.pods }, () => node.pod()));
    for (const pod of [first, ...others]) pod.name();
    await Promise.all(others.map((pod) => pod.print("here")));
    const kept = async () => (await Promise.all(others.map((pod) => node.messages(pod.channel)))).flat().length;
    await node.start();
    await expect.poll(kept, soon).toBeGreaterThanOrEqual(AGENT.pods - 1);
    const missed = (await Promise.all(others.map(async (pod) => ({ pod, lines: await node.messages(pod.channel) })))).filter(
      ({ lines }) => lines.length === 0,
    );
    await looked();
    expect(missed.length + Number(!node.asked.flat().includes(first.channel.instance))).toBe(1);
    expect(String(node.errors[0])).toContain(`more than ${AGENT.pods} pods`);
    await others.find((pod) => !missed.some((each) => each.pod === pod))!.remove();
    await expect.poll(kept, soon).toBe(AGENT.pods);
  });

  test("in files: oldest first, those that the kubelet compressed are not read", () => {
    const names = ["1.log", "0.log", "0.log.20260102-030405", "0.log.20260102-030404", "0.log.20260101-000000.gz", "x.log", "0.log.tmp"];
    expect(inOrder(names)).toEqual(["0.log.20260102-030404", "0.log.20260102-030405", "0.log", "1.log"]);
  });

  test("and was never named is forgotten a while after its files are gone", async () => {
    const there = await node.pod();
    const folder = podFolder(path.basename(there.folder), "fnctl")!;
    const segments = createSegments(node.folder, () => undefined);
    const reports = createCallReports(segments, () => undefined);
    const pod = createPod({ folder, root: node.root, saved: undefined, segments, reports, buffer: Buffer.alloc(1) });
    pod.look(0);
    expect(pod.finished(AGENT.namelessMs * 2)).toBe(false);
    await there.remove();
    pod.look(1);
    expect(pod.finished(1 + AGENT.namelessMs)).toBe(false);
    expect(pod.finished(2 + AGENT.namelessMs)).toBe(true);
    pod.close(false);
  });
});
