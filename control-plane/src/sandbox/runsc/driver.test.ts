// The runsc driver runs the suite of all drivers, in real gVisor.
import { prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { describeDriver, type DriverHarness } from "../conformance.ts";
import { conformanceFunction, conformanceVerbs } from "../testing/conformance-function.ts";
import { abandonStart } from "./testing/abandon.ts";
import { cacheDir, findRunsc } from "@fnctl/runtime-images/base/find-runsc";
import { leftovers } from "./testing/leftovers.ts";
import { createRunscHost } from "./testing/runsc-host.ts";

const { binary, missing } = findRunsc();

async function makeHarness(): Promise<DriverHarness> {
  const host = await createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
  return {
    driver: host.driver,
    spec: () => host.spec(),
    place: (text, tenantId) => host.place({ "index.mjs": conformanceFunction(text) }, tenantId),
    ...conformanceVerbs,
    abandonStart: () => abandonStart(host, "bundle/config.json", 30),
    reopen: host.reopen,
    leftovers: (id) => leftovers(host.layout, host.options.cgroupParent, id),
    close: host.close,
  };
}

describeDriver("runsc", missing, makeHarness);
