// The base image's first program under a kernel of its own, in containers as Kata's agent makes them.
import { beforeAll, describe, expect, test } from "vitest";
import { ENTER_ENV, ENTER_PROGRAM } from "@fnctl/control-plane/contract/runtime-protocol";
import { cacheDir } from "../base/find-runsc.ts";
import { prepareRootfs } from "../base/prepare.ts";
import { findGuest, runInGuest, type Ended, type Scenario } from "./guest.ts";

const { kernel, missing } = findGuest();
const MIB = 1024 * 1024;

/** Holds some memory, fills folders to the last byte one after the other, keeps them full, and is still there. */
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
/** Of a function with 128 MiB and 16 MiB for its code, whose pod has 144. */
const mounts = (tmp: number, shm: number) => ({ [ENTER_ENV.mounts]: `/tmp=${tmp * MIB} /dev/shm=${shm * MIB} /function=${16 * MIB}` });
const fill = { args: perl("/usr/local/bin/node", "-e", FILL, "/tmp", "/dev/shm", "/function"), memoryMib: 144 };

const SCENARIOS = {
  filled: { ...fill, env: mounts(32, 16) },
  larger: { ...fill, env: mounts(64, 32) },
  guarded: { args: perl("/usr/bin/perl", "-e", "print 'ran'"), env: mounts(32, 16), guarded: true },
  noNamespaces: { args: perl("/usr/bin/perl", "-e", "print 'ran'"), env: mounts(32, 16), sysctl: "user.max_user_namespaces=0" },
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
});
