// The base image's first program under a kernel of its own, in containers as Kata's agent makes them.
import { beforeAll, describe, expect, test } from "vitest";
import { ENTER_ENV, ENTER_PROGRAM } from "@fnctl/control-plane/contract/runtime-protocol";
import { cacheDir } from "../base/find-runsc.ts";
import { prepareRootfs } from "../base/prepare.ts";
import { findGuest, runInGuest, type Ended, type Scenario } from "./guest.ts";

const { kernel, missing } = findGuest();
const MIB = 1024 * 1024;

/** A program that holds some memory and fills one folder after the other to the last byte; the test checks that it survives. */
const FILL = `
  const fs = require("fs"), sizes = {}, held = Buffer.alloc(32 << 20, 1);
  for (const folder of process.argv.slice(1)) {
    sizes[folder] = 0;
    const file = fs.openSync(folder + "/fill", "w");
    for (const some of [Buffer.alloc(64 * 1024), Buffer.alloc(4096)])
      try { for (;;) sizes[folder] += fs.writeSync(file, some); } catch (error) { if (error.code !== "ENOSPC") throw error; }
  }
  console.log(JSON.stringify({ sizes, held: held.length >> 20, cwd: fs.statSync(".").dev === fs.statSync("/function").dev }));`;
const perl = (...args: string[]) => ["/usr/bin/perl", ENTER_PROGRAM, ...args];
/** The mounts of a function with 128 MiB and 16 MiB for its code, whose pod has 144. */
const mounts = (tmp: number, shm: number) => ({ [ENTER_ENV.mounts]: `/tmp=${tmp * MIB} /dev/shm=${shm * MIB} /function=${16 * MIB}` });
const fill = { args: perl("/usr/local/bin/node", "-e", FILL, "/tmp", "/dev/shm", "/function"), memoryMib: 144 };

const bounded = { ...mounts(32, 16), [ENTER_ENV.pids]: "64", [ENTER_ENV.seccomp]: "on" };
/**
 * Each system call there is (up to 470) with invalid arguments, each in a process of its own; prints the numbers that answer EPERM and then
 * those that answer ENOSYS.
 */
const CALLS = `
  my %seen;
  for my $call (grep { !/^(?:15|34|5[6-9]|60|231)$/ } 0 .. 470) { # which would not come back
    my $child = fork // die "fork: $!";
    if ($child == 0) { alarm 5; my $r = syscall($call, (-1) x 6); exit($r < 0 && ($! == 1 || $! == 38) ? $! : 0) }
    waitpid $child, 0;
    push @{$seen{$? >> 8}}, $call if $? >> 8;
  }
  print join(',', @{$seen{1}}), ' ', join(',', @{$seen{38}});`;
/** Calls that are allowed or refused by their arguments, then some that programs need. */
const ARGUMENTS = `
  my $try = sub { my ($name, @call) = @_; my $r = syscall($call[0], map { $_ + 0 } @call[1 .. $#call]); print "$name=", $r < 0 ? $! + 0 : 'ok', ' ' };
  $try->(inet => 41, 2, 1, 0); $try->(inet6 => 41, 10, 1, 0); $try->(unix => 41, 1, 1, 0); $try->(route => 41, 16, 3, 0);
  $try->(netfilter => 41, 16, 3, 12); $try->(vsock => 41, 40, 1, 0); $try->(alg => 41, 38, 5, 0); $try->(packet => 41, 17, 3, 0);
  $try->(user => 56, 0x10000011, 0, 0, 0, 0); $try->(mounts => 56, 0x20011, 0, 0, 0, 0); $try->(clone3 => 435, 0, 88);
  $try->(persona => 135, 0xffffffff); $try->(randomless => 135, 0x40000); $try->(type => 16, 0, 0x5412, 0);`;
/** Things that Node does in a function, and the same in Python where there is Python. */
const NODE = `
  const cp = require("child_process"), os = require("os"), { Worker } = require("worker_threads");
  const seen = { child: cp.spawnSync("/usr/bin/perl", ["-e", "print 42"]).stdout.toString(), addresses: Object.keys(os.networkInterfaces()).length };
  const server = require("http").createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1", async () => {
    seen.http = await (await fetch("http://127.0.0.1:" + server.address().port)).text();
    server.close();
    new Worker("require('worker_threads').parentPort.postMessage('from a thread')", { eval: true }).on("message", (message) => {
      console.log(JSON.stringify({ ...seen, message }));
      process.exit();
    });
  });`;
const FORKS = `
  my @children;
  while (defined(my $p = fork)) { if (!$p) { sleep 60; exit } push @children, $p }
  print scalar(@children), ' ', $! + 0;
  kill 9, @children;`;
/** System calls that must be refused, by their numbers on x86_64; those between 335 and 423 do not exist. */
const REFUSED = [
  "41", // socket with the family -1
  "101", // ptrace
  "103", // syslog
  "116", // setgroups, which the kernel itself refuses
  "134", // uselib
  "136", // ustat
  "139", // sysfs
  "153-156", // vhangup, modify_ldt, pivot_root, _sysctl
  "159", // adjtimex
  "161", // chroot
  "163-185", // acct, settimeofday, mount, umount2, swapon, swapoff, reboot, sethostname .. iopl, ioperm, *_module, quotactl ...
  "205", // set_thread_area
  "211-212", // get_thread_area, lookup_dcookie
  "214-215", // epoll_ctl_old, epoll_wait_old
  "227", // clock_settime
  "236-239", // vserver, mbind, set_mempolicy, get_mempolicy
  "246", // kexec_load
  "248-250", // add_key, request_key, keyctl
  "256", // migrate_pages
  "272", // unshare
  "279", // move_pages
  "298", // perf_event_open
  "300-301", // fanotify_init, fanotify_mark
  "303-305", // name_to_handle_at, open_by_handle_at, clock_adjtime
  "308", // setns
  "310-313", // process_vm_readv, process_vm_writev, kcmp, finit_module
  "320-321", // kexec_file_load, bpf
  "323", // userfaultfd
  "335-423",
  "425-433", // io_uring_*, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick
  "438", // pidfd_getfd
  "440", // process_madvise
  "442-443", // mount_setattr, quotactl_fd
  "447-448", // memfd_secret, process_mrelease
  "450", // set_mempolicy_home_node
  "457-461", // statmount, listmount, lsm_*
];
/** `1,2,3,7` as `1-3`, `7`. */
const rangesOf = (list: string): string[] =>
  list
    .split(",")
    .map(Number)
    .reduce<[number, number][]>((ranges, call) => {
      const last = ranges.at(-1);
      if (last?.[1] === call - 1) last[1] = call;
      else ranges.push([call, call]);
      return ranges;
    }, [])
    .map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));

const SCENARIOS = {
  filled: { ...fill, env: mounts(32, 16) },
  larger: { ...fill, env: mounts(64, 32) },
  guarded: { args: perl("/usr/bin/perl", "-e", "print 'ran'"), env: mounts(32, 16), guarded: true },
  noNamespaces: { args: perl("/usr/bin/perl", "-e", "print 'ran'"), env: mounts(32, 16), sysctl: "user.max_user_namespaces=0" },
  calls: { args: perl("/usr/bin/perl", "-e", CALLS), env: { ...bounded, [ENTER_ENV.pids]: "512" } },
  arguments: { args: perl("/usr/bin/perl", "-e", ARGUMENTS), env: bounded },
  node: { args: perl("/usr/local/bin/node", "-e", NODE), env: bounded, memoryMib: 144 },
  forks: { args: perl("/usr/bin/perl", "-e", FORKS), env: bounded },
  unbounded: {
    args: perl("/usr/bin/perl", "-e", "print syscall(272, 0x10000000) < 0 ? $! : 'a namespace of its own'"),
    env: mounts(32, 16),
  },
  noFilter: { args: perl("/usr/bin/perl", "-e", "print 'ran'"), env: { ...bounded, [ENTER_ENV.seccomp]: "off" } },
  noFolder: { args: perl("/usr/bin/perl", "-e", "print 'ran'"), env: { [ENTER_ENV.mounts]: "/nowhere=4096" } },
} satisfies Record<string, Scenario>;

describe.skipIf(missing !== undefined)(`in a virtual machine${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  let ended: Record<keyof typeof SCENARIOS, Ended>;
  beforeAll(async () => {
    const { rootfs } = await prepareRootfs("node24", { cacheDir: cacheDir() });
    ended = (await runInGuest(kernel, rootfs, SCENARIOS)) as typeof ended;
  });

  test("a function's folders have their sizes, and full ones leave it its memory", () => {
    const sizes = { "/tmp": 32 * MIB, "/dev/shm": 16 * MIB, "/function": 16 * MIB };
    expect(ended.filled.status).toBe(0);
    expect(JSON.parse(ended.filled.output)).toEqual({ sizes, held: 32, cwd: true });
  });
  test("larger ones would not: memory ends before they are full", () => {
    expect(ended.larger).toEqual({ status: "oom", output: "" });
  });
  test.each(["guarded", "noNamespaces"] as const)("where it may not make a user namespace it says so and runs nothing: %s", (how) => {
    expect(ended[how]).toEqual({ status: 101, output: expect.stringMatching(/^unshare: /) });
  });
  test("what cannot be mounted is not done without", () => {
    expect(ended.noFolder).toEqual({ status: 102, output: "mount /nowhere: No such file or directory\n" });
  });
  test("refuses each system call that a program without rights does not need", () => {
    const { status, output } = ended.calls;
    expect(status).toBe(0);
    const [refused = "", unknown = ""] = output.split(" ");
    expect(rangesOf(refused)).toEqual(REFUSED);
    // These answer ENOSYS, so that programs work without them: clone3, calls newer than the filter, and calls newer than this kernel.
    expect(rangesOf(unknown)).toEqual(expect.arrayContaining(["435", expect.stringMatching(/^46[2-7]-470$/)]));
  });
  test("lets no argument through that leads out: namespaces, other socket families, a terminal's input", () => {
    const [sockets, clones, others] = [
      "inet=ok inet6=ok unix=ok route=ok netfilter=1 vsock=1 alg=1 packet=1",
      "user=1 mounts=1 clone3=38",
      "persona=ok randomless=1 type=1",
    ];
    expect(ended.arguments.output.trim()).toBe(`${sockets} ${clones} ${others}`);
  });
  test("Node does under it what it does without: children, threads, servers, its own addresses", () => {
    expect(ended.node.status).toBe(0);
    expect(JSON.parse(ended.node.output)).toEqual({ child: "42", addresses: expect.any(Number), http: "hello", message: "from a thread" });
  });
  test("processes are as many as it was told", () => {
    expect(ended.forks.output).toBe("63 11"); // 63 children besides itself, then EAGAIN (11)
  });
  test("without it a function gets a user namespace of its own: this is what the filter is for", () => {
    expect(ended.unbounded.output).toBe("a namespace of its own");
    expect(ended.noFilter).toEqual({ status: 100, output: expect.stringMatching(/^FNCTL_SECCOMP/) });
  });
});
