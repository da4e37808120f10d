// A driver killed at any moment of a start leaves nothing that the next driver does not remove.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { cacheDir, findRunsc } from "@fnctl/runtime-images/base/find-runsc";
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
