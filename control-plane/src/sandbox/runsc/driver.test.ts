// The runsc driver runs the suite of all drivers, in real gVisor.
import { prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { describeDriver, type DriverHarness } from "../conformance.ts";
import { ask } from "../testing/ask.ts";
import { abandonStart } from "./testing/abandon.ts";
import { cacheDir, findRunsc } from "@fnctl/runtime-images/base/find-runsc";
import { leftovers } from "./testing/leftovers.ts";
import { createRunscHost } from "./testing/runsc-host.ts";

const { binary, missing } = findRunsc();

/** Answers `/`, ends at `/exit`, eats memory at `/eat`. */
const probe = (text: string) => `
  export default (request, response) => {
    if (request.url === "/exit") process.exit(3);
    if (request.url === "/eat") for (const kept = []; ; ) kept.push(Buffer.alloc(8 << 20, 1));
    response.end(${JSON.stringify(text)});
  };`;

async function makeHarness(): Promise<DriverHarness> {
  const host = await createRunscHost(binary, await prepareRootfs("node24", { cacheDir: cacheDir() }));
  return {
    driver: host.driver,
    spec: () => host.spec(),
    place: (text, tenantId) => host.place({ "index.mjs": probe(text) }, tenantId),
    crash: async (instance) => void (await ask(instance, "/exit").catch(() => undefined)),
    exhaustMemory: async (instance) => void (await ask(instance, "/eat").catch(() => undefined)),
    abandonStart: () => abandonStart(host, "bundle/config.json", 30),
    reopen: host.reopen,
    leftovers: (id) => leftovers(host.layout, host.options.cgroupParent, id),
    close: host.close,
  };
}

describeDriver("runsc", missing, makeHarness);
