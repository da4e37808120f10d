// A driver and the chart's runtime classes, for the tests of one file.
import { afterAll, beforeAll, expect, inject } from "vitest";
import type { Sandbox, SandboxSpec } from "@fnctl/control-plane/sandbox/driver";
import { PROBE } from "@fnctl/control-plane/sandbox/runsc/testing/probe";
import { init } from "@fnctl/control-plane/sandbox/testing/ask";
import { createDriverHost, type DriverHost } from "./driver-host.ts";
import { chart } from "./chart.ts";
import { kubectl } from "./kubectl.ts";

export function withDriverHost() {
  let classes: string;
  let host: DriverHost;
  beforeAll(async () => {
    classes = await chart(["templates/runtime-classes.yaml"]);
    await kubectl(["apply", "-f", "-"], classes);
    host = await createDriverHost(inject("cluster"));
  });
  afterAll(async () => {
    await (host as DriverHost | undefined)?.close(); // undefined if it did not start
    await kubectl(["delete", "-f", "-"], classes);
  });
  return {
    current: (): DriverHost => host,
    /** Starts a new pod that runs any code it is sent (`inside`). */
    async newPod(overrides: Partial<SandboxSpec> = {}): Promise<Sandbox> {
      const spec = host.spec(overrides);
      const [, image] = await Promise.all([host.driver.start(spec), host.place({ "index.mjs": PROBE })]);
      const instance = await host.driver.load(spec.id, image);
      expect(await init(instance, image)).toMatchObject({ status: 200 });
      return instance;
    },
  };
}
