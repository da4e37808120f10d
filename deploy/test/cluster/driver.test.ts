// The Kubernetes driver runs the suite of all drivers, with real gVisor pods on the real cluster.
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createKubernetesDriver, type KubernetesDriver } from "@fnctl/control-plane/sandbox/kubernetes/driver";
import { createLinks } from "@fnctl/control-plane/sandbox/kubernetes/links";
import { sendCode } from "@fnctl/control-plane/sandbox/kubernetes/send-code";
import { describeDriver, type DriverHarness } from "@fnctl/control-plane/sandbox/conformance";
import { conformanceFunction, conformanceVerbs } from "@fnctl/control-plane/sandbox/testing/conformance-function";
import { ask, init } from "@fnctl/control-plane/sandbox/testing/ask";
import { createDriverHost } from "./driver-host.ts";
import { chart } from "./chart.ts";
import { kubectl } from "./kubectl.ts";

/** How much fits into each folder, who it is, and what it may. */
const FOLDERS = `
  import fs from "node:fs";
  const fill = (folder) => {
    const file = fs.openSync(folder + "/fill", "w");
    let bytes = fs.readdirSync(folder, { recursive: true }).reduce((sum, name) => sum + (fs.statSync(folder + "/" + name).isFile() ? Math.ceil(fs.statSync(folder + "/" + name).size / 4096) * 4096 : 0), 0);
    for (const some of [Buffer.alloc(64 * 1024), Buffer.alloc(4096)])
      try { for (;;) bytes += fs.writeSync(file, some); } catch (error) { if (error.code !== "ENOSPC") throw error; }
    fs.rmSync(folder + "/fill");
    return bytes;
  };
  export default { fetch: (request) => Response.json({
    sizes: Object.fromEntries(new URL(request.url).search.slice(1).split(",").map((folder) => [folder, fill(folder)])),
    caps: fs.readFileSync("/proc/self/status", "utf8").split("\\n").filter((line) => line.startsWith("Cap")),
    ids: [process.getuid(), process.getgid()],
    root: fs.readFileSync("/proc/self/mountinfo", "utf8").split("\\n").map((line) => line.split(" ")).find((fields) => fields[4] === "/")[5],
  }) };`;

let classes: string;
beforeAll(async () => {
  classes = await chart(["templates/runtime-classes.yaml"]);
  await kubectl(["apply", "-f", "-"], classes);
});
afterAll(() => kubectl(["delete", "-f", "-"], classes));

async function makeHarness(): Promise<DriverHarness> {
  const host = await createDriverHost(inject("cluster"));
  const opened: KubernetesDriver[] = [host.driver];
  return {
    driver: host.driver,
    spec: (tenantId) => host.spec(tenantId === undefined ? {} : { tenantId }),
    place: (text, tenantId) => host.place({ "index.mjs": conformanceFunction(text) }, tenantId),
    ...conformanceVerbs,
    async abandonStart() {
      const spec = host.spec();
      const first = await createKubernetesDriver(host.options);
      const started = first.start(spec).catch(() => undefined);
      for (;;) {
        const pods = await kubectl(["get", "pods", "-A", "-l", `fnctl.dev/instance=${spec.id}`, "-o", "name"]);
        if (pods.trim() !== "") break;
      }
      await first.close(); // as a killed one leaves it: nobody looks at the pod any more
      void started;
      return spec.id;
    },
    async reopen() {
      const driver = await createKubernetesDriver(host.options);
      opened.push(driver);
      return driver;
    },
    async leftovers(id) {
      const pods = await kubectl(["get", "pods", "-A", "-l", `fnctl.dev/instance=${id}`, "-o", "name"]);
      return pods.split("\n").filter(Boolean);
    },
    async close() {
      for (const driver of opened) await driver.close();
      await host.close();
    },
  };
}

describeDriver("kubernetes", undefined, makeHarness);

test.each<[string, boolean, string[]]>([
  ["mounted by itself", true, ["/tmp", "/dev/shm", "/function"]],
  // Without /dev/shm: as a volume gVisor gives it no size, and memory ends first. Why it is mounted by itself, too.
  ["as volumes, for a base that cannot do so", false, ["/tmp", "/function"]],
])("a sandbox's folders take what they are given and not a byte more, %s (A5, A7)", async (_how, enters, folders) => {
  const host = await createDriverHost(inject("cluster"));
  try {
    host.options.enters = async () => enters;
    const spec = host.spec();
    const image = await host.place({ "index.mjs": FOLDERS });
    await host.driver.start(spec);
    const { address } = await host.driver.load(spec.id, image);
    const instance = { id: spec.id, address: address! };
    await init(instance, image);
    const seen = JSON.parse((await ask(instance, `/?${folders.join()}`, { timeoutMs: 60_000 })).text) as {
      sizes: Record<string, number>;
      caps: string[];
      ids: number[];
      root: string;
    };
    const mib = 1024 * 1024;
    const sizes: Record<string, number> = { "/tmp": 64 * mib, "/dev/shm": 32 * mib, "/function": 16 * mib };
    expect(seen.sizes).toEqual(Object.fromEntries(folders.map((folder) => [folder, sizes[folder]])));
    expect(seen.caps).toEqual(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((name) => `${name}:\t0000000000000000`));
    expect(seen.ids).toEqual([10_001, 10_001]);
    expect(seen.root).toMatch(/^ro\b/);
  } finally {
    await host.close();
  }
});

test("a pod that was sent code and not told whose it is belongs to nobody after a restart", async () => {
  const host = await createDriverHost(inject("cluster"));
  const links = createLinks();
  try {
    const spec = host.spec();
    const { address } = await host.driver.start(spec);
    const image = await host.place({ "index.mjs": conformanceFunction("half") });
    await sendCode(links.to(spec.id, address!), image.layer, await host.options.layer(image.tenantId, image.layer)); // and then it died
    const next = await createKubernetesDriver(host.options);
    expect((await next.list()).map(({ id, state }) => [id, state])).toEqual([[spec.id, "starting"]]); // not idle: it is stopped, not given out
    await next.stop(spec.id);
    await next.close();
  } finally {
    links.close();
    await host.close();
  }
});
