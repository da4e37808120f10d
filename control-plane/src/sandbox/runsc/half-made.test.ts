// A driver killed at any moment of a start leaves nothing that the next driver does not remove.
import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { cacheDir, findRunsc } from "@fnctl/runtime-images/base/find-runsc";
import { mountTmpfs, unmount } from "./mounts.ts";
import { abandonStart } from "./testing/abandon.ts";
import { leftovers } from "./testing/leftovers.ts";
import { createRunscHost, type RunscHost } from "./testing/runsc-host.ts";

const { binary, missing } = findRunsc();
let host: RunscHost | undefined;
afterEach(() => host?.close());

describe.skipIf(missing !== undefined)(`a start that was cut off${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  it.each([0, 5, 10, 15, 20, 25, 35, 50, 80])("%i ms after its bundle was there leaves nothing", async (delayMs) => {
    host = await createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
    const id = await abandonStart(host, "bundle/config.json", delayMs);
    const again = await host.reopen();
    expect((await again.list()).map((instance) => instance.id)).not.toContain(id);
    expect(await leftovers(host.layout, host.options.cgroupParent, id)).toEqual([]);
  });
  // These contents were seen when the kill came while runsc wrote its state. That happens seldom, so the test writes them itself.
  it.each(["", '{"id":'])("in the middle of runsc's own state (%j) leaves nothing", async (text) => {
    host = await createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
    const id = await abandonStart(host, "bundle/config.json", 80);
    await writeFile(path.join(host.layout.runscRoot, `${id}_sandbox:${id}.state`), text);
    await host.reopen();
    expect(await leftovers(host.layout, host.options.cgroupParent, id)).toEqual([]);
  });
});

describe.skipIf(missing !== undefined)(`a removal that was cut off${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  const kill = async (pid: number) => void process.kill(pid, "SIGKILL");
  // The order in which a removal goes: what comes before a step has been done.
  it.each(["process", "runsc's state", "mounts", "pipes"])("after its %s leaves nothing, and lets the driver begin again", async (last) => {
    host = await createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
    const { id } = await host.driver.start(host.spec());
    const other = await host.driver.start(host.spec());
    const paths = host.layout.instance(id);
    const steps: [string, () => Promise<unknown>][] = [
      ["process", async () => kill(Number(await readFile(path.join(paths.folder, "pid"), "utf8")))],
      ["runsc's state", () => rm(path.join(host!.layout.runscRoot, `${id}_sandbox:${id}.state`))],
      ["mounts", () => unmount(paths.tmpfs)],
      ["pipes", () => rm(paths.logFolder, { recursive: true })],
    ];
    for (const [, step] of steps.slice(0, steps.findIndex(([name]) => name === last) + 1)) await step();
    const again = await host.reopen();
    await again.stop(id);
    expect((await again.list()).map((instance) => instance.id)).toEqual([other.id]);
    expect(await leftovers(host.layout, host.options.cgroupParent, id)).toEqual([]);
  });

  it("and cannot be done is told, listed, and done when it can be; the driver begins again, and the others live", async () => {
    host = await createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
    const errors: unknown[] = [];
    host.options.onError = (error) => void errors.push(error);
    const { id } = await host.driver.start(host.spec());
    const other = await host.driver.start(host.spec());
    const paths = host.layout.instance(id);
    await rm(paths.logFolder, { recursive: true });
    await mountTmpfs(paths.bundle);
    const again = await host.reopen();
    expect(errors).toHaveLength(1);
    const listed = (await again.list()).map((instance) => `${instance.id} ${instance.state}`);
    expect(new Set(listed)).toEqual(new Set([`${id} ended`, `${other.id} idle`]));
    await expect(again.stop(id)).rejects.toThrow();
    await unmount(paths.bundle);
    await again.stop(id);
    expect((await again.list()).map((instance) => instance.id)).toEqual([other.id]);
    expect(await leftovers(host.layout, host.options.cgroupParent, id)).toEqual([]);
  });
});
