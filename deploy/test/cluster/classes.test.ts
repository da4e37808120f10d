// RuntimeClasses that do not keep the promise of their names: no sandbox is started in them, and the refusal says what they lack.
import { afterEach, expect, inject, test } from "vitest";
import type { Condition } from "@fnctl/control-plane/contract/conditions";
import type { Isolation } from "@fnctl/control-plane/contract/names";
import { createClassCheck } from "@fnctl/control-plane/sandbox/kubernetes/class-check/check";
import { probeLayer } from "@fnctl/control-plane/sandbox/kubernetes/probe-sandbox";
import { pushBase } from "./bases.ts";
import { createDriverHost, type DriverHost } from "./driver-host.ts";
import { chart } from "./chart.ts";
import { kubectl } from "./kubectl.ts";

let host: DriverHost | undefined;
let classes = "";
afterEach(async () => {
  await host?.close();
  await kubectl(["delete", "-f", "-", "--ignore-not-found"], classes);
});

/** Makes these classes in the cluster and then starts a driver. */
async function withClasses(set: Record<string, string>): Promise<DriverHost> {
  classes = await chart(["templates/runtime-classes.yaml"], set);
  await kubectl(["apply", "-f", "-"], classes);
  return (host = await createDriverHost(inject("cluster")));
}

/** Lets a sandbox of the class inspect itself, and returns the resulting condition. */
async function lookAt({ driver, options, base, errors }: DriverHost, isolation: Isolation): Promise<Condition> {
  const [probe, layer] = [await probeLayer(), options.layer];
  options.layer = async (tenantId, digest) => (digest === probe.digest ? probe.layer : layer(tenantId, digest));
  const check = createClassCheck({
    driver,
    isolation,
    base,
    epoch: 1,
    overheadMib: () => driver.classes.overheadMib(isolation),
    nodeBootId: async (id) => {
      const node = (await driver.look(id))?.node ?? "";
      return kubectl(["get", "node", node, "-o", "jsonpath={.status.nodeInfo.bootID}"]);
    },
    keep: () => undefined,
    onError: (error) => void errors.push(error),
  });
  try {
    return await check.run();
  } finally {
    check.close();
  }
}
const NODE_OF_GVISOR = "runtimeClasses.kata.nodeSelector.fnctl\\.dev/sandbox";

test("gVisor is what it promises: kernel, sizes, memory, processes, rights", async () => {
  const found = await lookAt(await withClasses({}), "gvisor");
  expect(found).toMatchObject({ status: "True", isolation: "gvisor", message: "Sandboxes of the class gvisor are as promised." });
  expect(found.facts?.map(({ fact, holds }) => [fact, holds])).toEqual(
    ["kernel", "memory", "size of /tmp", "size of /dev/shm", "size of /function", "most processes", "system calls", "user"]
      .concat("capabilities", "new privileges", "root file system", "file for last words")
      .map((fact) => [fact, true]),
  );
});

test("a class that is called kata and is gVisor is refused, by its kernel", async () => {
  const set = { "runtimeClasses.kata.handler": "runsc", [NODE_OF_GVISOR]: "gvisor" };
  const { status, message } = await lookAt(await withClasses(set), "kata");
  expect({ status, message }).toEqual({
    status: "False",
    message: expect.stringMatching(/^The class kata is not as promised: its kernel: Linux version \S*gvisor/),
  });
});

test.each(["node24", "python3.13", "builder"] as const)(
  "%s comes up under the filter of system calls that Kata's pods have",
  async (name) => {
    // gVisor also applies the filter if the pod asks for it.
    const { driver, spec } = await withClasses({ "runtimeClasses.kata.handler": "runsc", [NODE_OF_GVISOR]: "gvisor" });
    const { digest } = await pushBase(inject("cluster"), name);
    const builder = name === "builder" ? ({ kind: "builder", memoryMib: 2048 } as const) : {};
    const { id, state } = await driver.start(spec({ base: digest, isolation: "kata", ...builder }));
    expect(state).toBe("idle");
    await driver.stop(id);
  },
);

test("a class in which no user namespace can be made is refused by its name", async () => {
  // runc with the container runtime's default profile stands for a Kata guest with such a profile.
  const { driver, spec: specOf } = await withClasses({ "runtimeClasses.gvisor.handler": "runc" });
  const spec = specOf();
  await expect(driver.start(spec)).rejects.toMatchObject({
    code: "ISOLATION_UNAVAILABLE",
    message: expect.stringMatching(/RuntimeClass gvisor may not make a user namespace \(unshare\)/),
    hint: expect.stringContaining("fnctl doctor cluster"),
  });
  expect(await kubectl(["get", "pods", "-A", "-l", `fnctl.dev/instance=${spec.id}`, "-o", "name"])).toBe("");
});
