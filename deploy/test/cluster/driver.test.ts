// The Kubernetes driver runs the suite of all drivers, with real gVisor pods on the real cluster.
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createKubernetesDriver, type KubernetesDriver } from "@fnctl/control-plane/sandbox/kubernetes/driver";
import { createStandingConnections } from "@fnctl/control-plane/sandbox-client/standing-connections";
import { sendCode } from "@fnctl/control-plane/sandbox-client/send-code";
import { describeDriver, type DriverHarness } from "@fnctl/control-plane/sandbox/conformance";
import { conformanceFunction, conformanceVerbs } from "@fnctl/control-plane/sandbox/testing/conformance-function";
import { createDriverHost } from "./driver-host.ts";
import { chart } from "./chart.ts";
import { kubectl } from "./kubectl.ts";

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
      await first.close(); // as if the driver was killed: nothing watches the pod any more
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

test("a pod that was sent code and not told whose it is belongs to nobody after a restart", async () => {
  const host = await createDriverHost(inject("cluster"));
  const links = createStandingConnections();
  try {
    const spec = host.spec();
    const { address } = await host.driver.start(spec);
    const image = await host.place({ "index.mjs": conformanceFunction("half") });
    // The former driver ends after this call.
    await sendCode(links.to(spec.id, address!), image.layer, await host.options.layer(image.tenantId, image.layer));
    const next = await createKubernetesDriver(host.options);
    // Not idle, so the sandbox is stopped and never given to a function.
    expect((await next.list()).map(({ id, state }) => [id, state])).toEqual([[spec.id, "starting"]]);
    await next.stop(spec.id);
    await next.close();
  } finally {
    links.close();
    await host.close();
  }
});
