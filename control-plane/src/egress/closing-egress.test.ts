// When a sandbox with access to the egress proxy ends, for whatever reason, its source at the proxy is closed, and no other sandbox's is.
import { afterEach, beforeEach, expect, test } from "vitest";
import { newInstanceId } from "../service/uuid7.ts";
import { closingEgress } from "./closing-egress.ts";
import { createInstancesHost, type InstancesHost } from "../instances/testing/instances-host.ts";

let host: InstancesHost;
let closed: string[];
const close = async (id: string) => void closed.push(id);
const spec = (egress: boolean) => ({ ...host.key, id: newInstanceId(), epoch: 1, egress });
beforeEach(async () => {
  host = await createInstancesHost();
  closed = [];
});
afterEach(() => host.close());

test("a stop closes the way out, once, and only of a sandbox that has one", async () => {
  const driver = closingEgress(host.driver, close);
  const [open, shut] = [await driver.start(spec(true)), await driver.start(spec(false))];
  await driver.stop(shut.id);
  await driver.stop(open.id);
  await driver.stop(open.id);
  expect(closed).toEqual([open.id]);
  expect(await driver.list()).toEqual([]);
});

test("a sandbox of the control plane before this one is known by the list", async () => {
  const { id } = await host.driver.start(spec(true));
  const driver = closingEgress(host.driver, close);
  await driver.list();
  await driver.stop(id);
  expect(closed).toEqual([id]);
});

test("a start that fails leaves no way out, and says its own reason", async () => {
  const driver = closingEgress(host.driver, close);
  const broken = { ...spec(true), base: `sha256:${"0".repeat(64)}` };
  await expect(driver.start(broken)).rejects.toMatchObject({ code: "SANDBOX_FAILED" });
  expect(closed).toEqual([broken.id]);
});

test("a proxy that is away is asked again at the next stop", async () => {
  let away = true;
  const driver = closingEgress(host.driver, (id) => (away ? Promise.reject(new Error("proxy away")) : close(id)));
  const { id } = await driver.start(spec(true));
  await expect(driver.stop(id)).rejects.toThrow("proxy away");
  away = false;
  await driver.stop(id);
  expect(closed).toEqual([id]);
});
