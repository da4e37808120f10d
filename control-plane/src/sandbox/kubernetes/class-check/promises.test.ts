// The verdict about a class of sandboxes, for findings of good and of bad sandboxes.
import { describe, expect, test } from "vitest";
import { folders } from "../objects/folders.ts";
import { findingsSchema, judgeClass, type Findings, type Given } from "./promises.ts";

const MIB = 1024 * 1024;
const spec = { kind: "function", memoryMib: 128, codeMib: 16 } as Parameters<typeof folders>[0];
const given = (isolation: Given["isolation"], overheadMib: number): Given => ({
  isolation,
  folders: folders(spec),
  accountedMib: 144 + overheadMib,
  nodeBootId: "the node's",
});
const FOUND: Findings = {
  kernel: "Linux version 4.19.0-gvisor",
  bootId: "its own",
  sizes: { "/tmp": 32 * MIB, "/dev/shm": 16 * MIB, "/function": 16 * MIB },
  memoryKib: 208 * 1024,
  swapKib: 0,
  user: "10001:10001",
  capabilities: Array.from({ length: 5 }, () => "0000000000000000"),
  noNewPrivileges: "1",
  root: "ro",
  pids: "512 512",
  seccomp: "0",
  possible: ["unshare"],
  lastWords: "EACCES",
};
const VM: Findings = { ...FOUND, kernel: "Linux version 6.12.47 (kata)", memoryKib: 150_000, seccomp: "2", possible: [] };
const judge = (isolation: Given["isolation"], found: Findings) =>
  judgeClass(given(isolation, isolation === "gvisor" ? 64 : 320), found, new Date(0));

test.each([
  ["gvisor", FOUND],
  ["kata", VM],
] as const)("%s as promised", (isolation, found) => {
  const { status, message, facts = [], type } = judge(isolation, found);
  expect({ status, message, type }).toEqual({
    status: "True",
    message: `Sandboxes of the class ${isolation} are as promised.`,
    type: "SandboxClassVerified",
  });
  expect(facts.map(({ fact }) => fact)).toEqual(expect.arrayContaining(["kernel", "memory", "size of /tmp", "capabilities"]));
  expect(facts.every(({ holds }) => holds)).toBe(true);
});

describe("is refused, by the name of what is wrong:", () => {
  test.each<[string, Given["isolation"], Partial<Findings>, RegExp]>([
    [
      "gVisor that is the node's kernel",
      "gvisor",
      { kernel: "Linux version 6.1.0", bootId: "the node's" },
      /its kernel: Linux version 6\.1\.0/,
    ],
    ["Kata that is the node's kernel", "kata", { bootId: "the node's" }, /its kernel: .*\(its node's own\)/],
    ["Kata that is gVisor", "kata", { kernel: "Linux version 4.19.0-gvisor" }, /its kernel: .*gvisor/],
    ["Kata whose kernel does not say which it is", "kata", { bootId: "" }, /its kernel/],
    ["a machine larger than its pod accounts for", "kata", { memoryKib: 2_192 * 1024 }, /its memory: 2192 MiB, where at most 464 MiB/],
    ["no word about memory", "gvisor", { memoryKib: 0 }, /its memory/],
    ["swap", "kata", { swapKib: 4 }, /and swap/],
    ["a folder as large as the machine", "kata", { sizes: { ...VM.sizes, "/tmp": 75 * MIB } }, /size of \/tmp: 75\.0 MiB, where 32 MiB/],
    ["a folder that takes a page too many", "gvisor", { sizes: { ...FOUND.sizes, "/tmp": 32 * MIB + 4096 } }, /size of \/tmp/],
    ["a folder that is too small", "gvisor", { sizes: { ...FOUND.sizes, "/dev/shm": 8 * MIB } }, /size of \/dev\/shm/],
    ["a folder that is not there", "gvisor", { sizes: {} }, /size of \/function: 0\.0 MiB/],
    ["no bound of processes", "kata", { pids: "unlimited unlimited" }, /its most processes: unlimited unlimited, where 512/],
    ["a bound of processes that can be raised", "gvisor", { pids: "512 unlimited" }, /its most processes/],
    ["system calls that nobody filters", "kata", { seccomp: "0" }, /its system calls: not filtered/],
    ["a dangerous system call", "kata", { possible: ["bpf", "mount"] }, /its system calls: filtered, possible: bpf mount/],
    ["root", "gvisor", { user: "0:0" }, /its user: 0:0/],
    ["a capability", "kata", { capabilities: ["0000000000000000", "00000000a80425fb"] }, /its capabilities: 00000000a80425fb/],
    ["no word about capabilities", "kata", { capabilities: ["", "", "", "", ""] }, /its capabilities: unknown/],
    ["new privileges", "kata", { noNewPrivileges: "0" }, /its new privileges: possible/],
    ["a root that can be written to", "kata", { root: "rw" }, /its root file system: rw/],
    ["the node's file for last words", "kata", { lastWords: "done" }, /its file for last words: done/],
  ])("%s", (_what, isolation, change, message) => {
    const { status, message: said } = judge(isolation, { ...(isolation === "kata" ? VM : FOUND), ...change });
    expect({ status, said }).toEqual({ status: "False", said: expect.stringMatching(message) });
  });
});

test("what a sandbox says is bounded", () => {
  expect(findingsSchema.safeParse(FOUND).success).toBe(true);
  expect(findingsSchema.safeParse({ ...FOUND, kernel: "x".repeat(301) }).success).toBe(false);
  expect(findingsSchema.safeParse({ ...FOUND, capabilities: Array.from({ length: 11 }, () => "0") }).success).toBe(false);
});
