// RuntimeClasses that are not what their names promise: nothing is started in them, and the refusal says what they lack.
import { afterEach, expect, inject, test } from "vitest";
import { createDriverHost, type DriverHost } from "./driver-host.ts";
import { chart } from "./chart.ts";
import { kubectl } from "./kubectl.ts";

let host: DriverHost | undefined;
let classes = "";
afterEach(async () => {
  await host?.close();
  await kubectl(["delete", "-f", "-", "--ignore-not-found"], classes);
});

/** A driver in a cluster that has these classes from its start. */
async function withClasses(set: Record<string, string>): Promise<DriverHost> {
  classes = await chart(["templates/runtime-classes.yaml"], set);
  await kubectl(["apply", "-f", "-"], classes);
  return (host = await createDriverHost(inject("cluster")));
}

test("a class in which no user namespace can be made is refused by its name", async () => {
  // runc under a container runtime's default profile, as a Kata guest is with one.
  const { driver, spec: specOf } = await withClasses({ "runtimeClasses.gvisor.handler": "runc" });
  const spec = specOf();
  await expect(driver.start(spec)).rejects.toMatchObject({
    code: "ISOLATION_UNAVAILABLE",
    message: expect.stringMatching(/RuntimeClass gvisor may not make a user namespace \(unshare\)/),
    hint: expect.stringContaining("fnctl doctor cluster"),
  });
  expect(await kubectl(["get", "pods", "-A", "-l", `fnctl.dev/instance=${spec.id}`, "-o", "name"])).toBe("");
});
