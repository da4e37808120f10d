// Which users of this host may see a sandbox's files, how tenants share processor time, and which processes the kernel ends first; with
// real gVisor and real users.
import { prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cacheDir, findRunsc } from "@fnctl/runtime-images/base/find-runsc";
import { ask } from "../testing/ask.ts";
import { CPU_SHARES, firstPlaceOf } from "./cpu-groups.ts";
import { findCpuHierarchy } from "./cpu-hierarchy.ts";
import { OOM_SCORE } from "./spec.ts";
import { createRunscHost, type RunscHost } from "./testing/runsc-host.ts";

const { binary, missing } = findRunsc();
const run = promisify(execFile);
const soon = { timeout: 10_000, interval: 20 };
const ECHO = "export default (request, response) => response.end('alive');";

describe.skipIf(missing !== undefined)(`local users${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  let host: RunscHost;
  beforeAll(async () => {
    host = await createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
    await chmod(path.dirname(host.options.paths.runDir), 0o755); // other users may enter the parent folder, as with /run
  });
  afterAll(() => host.close());

  /** The result of `cat` as another user without groups. */
  const readAs = (uid: number, file: string) =>
    run("setpriv", [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "cat", file]).then(
      ({ stdout }) => stdout,
      ({ stderr }: { stderr: string }) => (/Permission denied/.test(stderr) ? "EACCES" : stderr),
    );

  test("a stranger reads neither a tenant's source nor its log pipes, and the function reads its own source", async () => {
    const { instance } = await host.run(`import { readFileSync } from "node:fs"; export default (request, response) =>
      response.end(readFileSync("/function/code/index.mjs", "utf8"));`);
    expect((await ask(instance, "/")).text).toContain("readFileSync");
    const { code, logMeta, userLog } = host.layout.instance(instance.id);
    for (const file of [path.join(code, "index.mjs"), logMeta, userLog]) {
      expect((await readFile(file, "utf8")).length).toBeGreaterThanOrEqual(0); // the file exists
      expect([file, await readAs(65_534, file)]).toEqual([file, "EACCES"]);
    }
  });

  test("a builder gets no folder in the place of its way out: not through a link, and not another user's", async () => {
    const { egressDir } = host.options.paths;
    await mkdir(egressDir, { recursive: true });
    const outside = await mkdtemp(path.join(tmpdir(), "fn-out-"));
    const [linked, foreign, own] = [host.spec({ egress: true }), host.spec({ egress: true }), host.spec({ egress: true })];
    await symlink(outside, path.join(egressDir, linked.id));
    await mkdir(path.join(egressDir, foreign.id));
    await run("chown", ["65534", path.join(egressDir, foreign.id)]);
    for (const spec of [linked, foreign]) await expect(host.driver.start(spec)).rejects.toMatchObject({ code: "SANDBOX_FAILED" });
    await mkdir(path.join(egressDir, own.id));
    await host.driver.start(own);
    const targets = () =>
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(own.id));
    expect(targets().some((line) => line.includes(host.layout.instance(own.id).egress))).toBe(true);
    await host.driver.stop(own.id);
    expect(targets()).toEqual([]);
    await rm(outside, { recursive: true });
  });

  test("the kernel ends sandboxes before services, builders first", async () => {
    const score = async (kind: "function" | "builder") => {
      const { id } = await host.driver.start(host.spec({ kind, memoryMib: 2048 }));
      const pid = readFileSync(path.join(host.layout.instance(id).folder, "pid"), "utf8");
      return Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
    };
    expect([await score("function"), await score("builder")]).toEqual([OOM_SCORE.function, OOM_SCORE.builder]);
    expect(Number(readFileSync("/proc/self/oom_score_adj", "utf8"))).toBeLessThan(OOM_SCORE.function);
  });

  describe("processor time", async () => {
    const hierarchy = await findCpuHierarchy();
    const why = hierarchy === undefined ? " (skipped: this host has no hierarchy of cgroups that shares it)" : "";
    const at = (...names: string[]) => path.join(hierarchy?.root ?? "", host.options.cgroupParent, ...names);
    const firstOf = (id: string) => path.join(hierarchy?.root ?? "", firstPlaceOf(host.options.cgroupParent, id));
    const processes = (folder: string) => readFileSync(path.join(folder, "cgroup.procs"), "utf8").split("\n").filter(Boolean);
    const sharesOf = (folder: string) =>
      Number(readFileSync(path.join(folder, hierarchy?.unified === true ? "cpu.weight" : "cpu.shares"), "utf8")) *
      (hierarchy?.unified === true ? 10 : 1);

    test.skipIf(hierarchy === undefined)(`is shared between tenants, each with one weight, below the host's processes${why}`, async () => {
      const tenant = randomUUID();
      const instances = await Promise.all(
        Array.from({ length: 2 }, async () => {
          const [started, image] = [await host.driver.start(host.spec()), await host.place({ "index.mjs": ECHO }, tenant)];
          return host.driver.load(started.id, image);
        }),
      );
      const group = at(`t-${tenant}`);
      for (const { id } of instances) {
        await expect.poll(() => existsSync(path.join(group, id)) && processes(firstOf(id)).length, soon).toBe(0); // all of it
        expect(processes(path.join(group, id)).length).toBeGreaterThan(1);
      }
      expect([sharesOf(at()), sharesOf(group)]).toEqual([CPU_SHARES.platform, CPU_SHARES.tenant]);
      await Promise.all(instances.map(({ id }) => host.driver.stop(id)));
      expect(existsSync(group)).toBe(false);
    });

    test.skipIf(hierarchy === undefined)(`an instance keeps its own limit, and a builder weighs less than a tenant${why}`, async () => {
      const { instance, image } = await host.run(ECHO);
      const quota = hierarchy?.unified === true ? "cpu.max" : "cpu.cfs_quota_us";
      const placed = at(`t-${image.tenantId}`, instance.id);
      await expect.poll(() => existsSync(placed) && processes(placed).length > 1, soon).toBe(true);
      expect(readFileSync(path.join(placed, quota), "utf8")).toBe(readFileSync(path.join(firstOf(instance.id), quota), "utf8"));
      const builder = await host.driver.start(host.spec({ kind: "builder", memoryMib: 2048 }));
      expect(sharesOf(firstOf(builder.id))).toBe(CPU_SHARES.builder);
    });

    test.skipIf(hierarchy === undefined)(`is shared again by the next driver where the one before was killed first${why}`, async () => {
      const { instance, image } = await host.run(ECHO);
      const placed = at(`t-${image.tenantId}`, instance.id);
      await expect.poll(() => existsSync(placed) && processes(firstOf(instance.id)).length, soon).toBe(0);
      for (const pid of processes(placed)) await run("sh", ["-c", `echo ${pid} > ${firstOf(instance.id)}/cgroup.procs`]);
      const next = await host.reopen();
      await expect.poll(() => processes(firstOf(instance.id)).length, soon).toBe(0);
      await next.stop(instance.id);
      expect(readdirSync(at()).filter((name) => name.includes(image.tenantId))).toEqual([]);
    });
  });
});
