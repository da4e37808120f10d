// Finds out by trying where a function's pod can write and how much, in real gVisor pods on the real cluster.
import { beforeAll, describe, expect, test } from "vitest";
import type { SandboxSpec } from "@fnctl/control-plane/sandbox/driver";
import { inside } from "@fnctl/control-plane/sandbox/runsc/testing/probe";
import { PIDS, type Enters } from "@fnctl/control-plane/sandbox/kubernetes/objects/pod";
import { SANDBOX_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { withDriverHost } from "./with-driver-host.ts";

const { current, newPod } = withDriverHost();
/** Starts a new pod and returns a function that runs code in it. */
async function runIn(overrides: Partial<SandboxSpec> = {}) {
  const instance = await newPod(overrides);
  return <T>(code: string): Promise<T> => inside<T>(instance, code, 60_000);
}

/** Lists the pod's mounts that can be written to, by trying each. */
const TRY_MOUNTS = `
  const points = fs.readFileSync("/proc/self/mountinfo", "utf8").trim().split("\\n").map((line) => line.split(" ")[4]);
  const taken = (point) => fs.writeSync(fs.openSync(fs.statSync(point).isDirectory() ? point + "/tried" : point, "a"), "x") === 1;
  return [...new Set(points)].filter((point) => attempt(() => taken(point)) === true).sort();`;
/** Tries to open the file as root of a new user namespace. */
const TRY_AS_ROOT_OF_ITS_OWN = (file: string) => `
  return cp.execFileSync("/usr/bin/perl", ["-e", 'syscall(272, 0x10000000) == 0 or die "unshare: $!"; open(F, ">", "/proc/self/uid_map"); print F "0 10001 1"; close(F) or die "map: $!"; print $>, open(F, ">>", shift) ? " open" : " " . ($! + 0)', ${JSON.stringify(file)}]).toString();`;

describe("a function's pod takes bytes in its folders alone", () => {
  let run: Awaited<ReturnType<typeof runIn>>;
  beforeAll(async () => void (run = await runIn()));

  test("of all its mounts", async () => {
    expect(await run(TRY_MOUNTS)).toEqual(["/dev/shm", "/function", "/tmp"]);
  });
  test("not in the file that its node keeps for a container's last words (A16)", async () => {
    expect(await run(`return attempt(() => fs.openSync(${JSON.stringify(SANDBOX_PATHS.lastWords)}, "a"))`)).toBe("EACCES");
    expect(await run(TRY_AS_ROOT_OF_ITS_OWN(SANDBOX_PATHS.lastWords))).toBe("0 13"); // it is root in that namespace, and gets EACCES (13)
  });
});

/**
 * Fills folders to the last byte, one after the other, and leaves them full; returns the bytes in each, including code that was there
 * before.
 */
const FILL = (folders: readonly string[]) => `
  const pages = (file) => Math.ceil(fs.statSync(file).size / 4096) * 4096;
  const filled = (folder) => {
    const file = fs.openSync(folder + "/fill", "w");
    const there = fs.readdirSync(folder, { recursive: true }).map((name) => folder + "/" + name).filter((name) => fs.statSync(name).isFile());
    let bytes = there.reduce((sum, name) => sum + pages(name), 0);
    for (const some of [Buffer.alloc(64 * 1024), Buffer.alloc(4096)])
      try { for (;;) bytes += fs.writeSync(file, some); } catch (error) { if (error.code !== "ENOSPC") throw error; }
    return bytes;
  };
  return Object.fromEntries(${JSON.stringify(folders)}.map((folder) => [folder, filled(folder)]));`;

/** Returns the process's capabilities, its ids and the options of its root mount. */
const RIGHTS = `
  return {
    caps: fs.readFileSync("/proc/self/status", "utf8").split("\\n").filter((line) => line.startsWith("Cap")),
    ids: [process.getuid(), process.getgid()],
    root: fs.readFileSync("/proc/self/mountinfo", "utf8").split("\\n").map((line) => line.split(" ")).find((fields) => fields[4] === "/")[5],
  };`;
const CAPS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((name) => `${name}:\t0000000000000000`);

describe("a function's folders take what they are given and not a byte more, and are full before its memory is (A5, A7)", () => {
  const MIB = 1024 * 1024;
  test.each<[string, SandboxSpec["memoryMib"], Enters, Record<string, number>]>([
    ["128 MiB", 128, "fully", { "/tmp": 32 * MIB, "/dev/shm": 16 * MIB, "/function": 16 * MIB }],
    ["1024 MiB", 1024, "fully", { "/tmp": 256 * MIB, "/dev/shm": 64 * MIB, "/function": 16 * MIB }],
    // /dev/shm is left out: gVisor ignores the size of such a volume, and memory is used up first. This is why a base image that can mount
    // mounts it itself.
    ["128 MiB, as volumes, for a base that cannot mount", 128, "not", { "/tmp": 32 * MIB, "/function": 16 * MIB }],
  ])("%s", async (_what, memoryMib, enters, sizes) => {
    current().options.enters = async () => enters;
    const run = await runIn({ memoryMib });
    expect(await run(FILL(Object.keys(sizes)))).toEqual(sizes); // all folders are full at the same time
    expect(await run("return attempt(() => fs.writeFileSync('/tmp/more', 'x'))")).toBe("ENOSPC");
    expect(await run("return Buffer.alloc(8 << 20, 1).length")).toBe(8 << 20);
    expect(await run(RIGHTS)).toMatchObject({ caps: CAPS, ids: [10_001, 10_001], root: expect.stringMatching(/^ro\b/) });
  });
});

test("a function has a bound of processes, which it can lower and not raise, and which holds (A9)", async () => {
  current().options.enters = async () => "fully";
  const run = await runIn();
  // Starting PIDS processes would take a minute in gVisor, so a lower limit is set and tested instead.
  const script = `
    my $limit = sub { my $both = pack('Q2', $_[0], $_[0]); syscall(160, 6, $both) == 0 ? 'set' : $! + 0 };
    my @seen = ($limit->(${PIDS + 1}), $limit->(40));
    my @all; while (@all < 100 && defined(my $p = fork)) { if (!$p) { sleep 60; exit } push @all, $p }
    print join(' ', @seen, $! + 0, scalar(@all));
    kill 9, @all;`;
  const said = await run<string>(
    `return cp.execFileSync("/usr/bin/perl", ["-e", ${JSON.stringify(script)}], { timeout: 50_000 }).toString()`,
  );
  const [raised, lowered, error, made] = said.split(" ");
  expect([raised, lowered, error]).toEqual(["1", "set", "11"]); // EPERM, EAGAIN
  expect(Number(made)).toBeLessThan(40);
  expect(await run("return fs.readFileSync('/proc/self/limits', 'utf8')")).toMatch(new RegExp(`^Max processes +${PIDS} +${PIDS} `, "m"));
});
