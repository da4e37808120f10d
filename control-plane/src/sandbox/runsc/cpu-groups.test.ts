// Tests with real cgroups of the machine, in a folder of the test's own.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createCpuGroups, firstPlaceOf } from "./cpu-groups.ts";
import { findCpuHierarchy, processorSeconds } from "./cpu-hierarchy.ts";

const hierarchy = await findCpuHierarchy();
const fail = (error: unknown) => {
  throw error;
};
/** Places groups as the platform does: in every hierarchy that counts or shares processor time. */
const roots = [...new Set([hierarchy?.root, hierarchy?.accounting])].filter((root) => root !== undefined);

test.skipIf(hierarchy === undefined)("a tenant's group goes with its last instance, and never while another one moves in", async () => {
  const parent = `/fnctl-test-${randomUUID().slice(0, 8)}`;
  const root = hierarchy?.root ?? "";
  const groups = createCpuGroups(hierarchy!, parent, fail);
  await groups.prepare();
  const own = (id: string) => path.join(root, firstPlaceOf(parent, id));
  const begin = async (id: string) => {
    await mkdir(own(id));
    await groups.place("one", id);
  };
  await begin("0");
  for (let turn = 1; turn <= 100; turn++) {
    await Promise.all([groups.remove("one", String(turn - 1)), begin(String(turn))]);
    expect(existsSync(path.join(root, groups.placeOf("one", String(turn))))).toBe(true);
    await rmdir(own(String(turn - 1)));
  }
  await groups.remove("one", "100");
  await rmdir(own("100"));
  await rmdir(path.dirname(own("100")));
  await rmdir(path.join(root, parent)); // succeeds only if nothing is left in it
});

/** Number of processors to assume: so few that a spinning process gets more than its share, whatever else this machine does. */
const SMALL = 0.1;
const idle = (folder: string) => readFileSync(path.join(folder, "cpu.idle"), "utf8").trim();
const counts =
  hierarchy !== undefined && processorSeconds(hierarchy, "/") !== undefined && existsSync(path.join(hierarchy.root, "cpu.idle"));
const why = counts ? "" : " (skipped: this kernel does not count processor time here, or has no cpu.idle)";

test.skipIf(!counts)(`a driver that comes after one that was killed judges anew${why}`, async () => {
  const parent = `/fnctl-test-${randomUUID().slice(0, 8)}`;
  const at = (...names: string[]) => path.join(hierarchy?.root ?? "", parent, ...names);
  const nobodys = path.join(hierarchy?.root ?? "", path.dirname(firstPlaceOf(parent, "a")));
  // The groups as a driver leaves them that was killed between two steps.
  for (const folder of [nobodys, at("t-yields", "a"), at("t-empty")]) await mkdir(folder, { recursive: true });
  for (const folder of [at("t-yields"), at("t-empty")]) await writeFile(path.join(folder, "cpu.idle"), "1");
  await createCpuGroups(hierarchy!, parent, fail).prepare();
  expect([idle(nobodys), idle(at("t-yields")), existsSync(at("t-empty"))]).toEqual(["1", "0", false]);
  await createCpuGroups(hierarchy!, parent, fail).prepare(); // a second run, over the first one's groups
  expect(idle(nobodys)).toBe("1");
  for (const folder of [nobodys, at("t-yields", "a"), at("t-yields"), at()]) await rmdir(folder);
});

test.skipIf(!counts)(`who uses most of the machine yields until it no longer does, and who begins yields${why}`, async () => {
  const parent = `/fnctl-test-${randomUUID().slice(0, 8)}`;
  const root = hierarchy?.root ?? "";
  const groups = createCpuGroups(hierarchy!, parent, fail, SMALL);
  await groups.prepare();
  expect(idle(path.join(root, path.dirname(firstPlaceOf(parent, "a"))))).toBe("1");
  const spinners = Array.from({ length: 2 }, () => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }));
  onTestFinished(() => {
    for (const spinner of spinners) spinner.kill("SIGKILL");
  });
  const begin = async (tenantId: string, id: string, pids: readonly number[]) => {
    for (const each of roots) {
      await mkdir(path.join(each, firstPlaceOf(parent, id)), { recursive: true });
      for (const pid of pids) await writeFile(path.join(each, firstPlaceOf(parent, id), "cgroup.procs"), String(pid));
    }
    await groups.place(tenantId, id);
    return path.join(root, parent, `t-${tenantId}`);
  };
  const spinning = await begin(
    "spinning",
    "a",
    spinners.map(({ pid }) => pid ?? 0),
  );
  const quiet = await begin("quiet", "b", []);
  const soon = { timeout: 10_000, interval: 50 };
  await expect.poll(() => idle(spinning), soon).toBe("1");
  expect(idle(quiet)).toBe("0");
  for (const spinner of spinners) spinner.kill("SIGKILL");
  await expect.poll(() => idle(spinning), soon).toBe("0");
  for (const [tenantId, id] of Object.entries({ spinning: "a", quiet: "b" })) await groups.remove(tenantId, id);
  for (const each of roots)
    for (const place of [firstPlaceOf(parent, "a"), firstPlaceOf(parent, "b"), path.dirname(firstPlaceOf(parent, "a")), parent])
      await rmdir(path.join(each, place));
});
