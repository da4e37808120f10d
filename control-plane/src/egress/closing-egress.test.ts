// When a sandbox with access to the egress proxy ends, for whatever reason, its source at the proxy is closed, and no other sandbox's is.
import { afterEach, beforeEach, expect, test } from "vitest";
import { newInstanceId } from "../service/uuid7.ts";
import { closingEgress } from "./closing-egress.ts";
import type { Source } from "./egress-client.ts";
import { createInstancesHost, type InstancesHost } from "../instances/testing/instances-host.ts";

let host: InstancesHost;
let closed: string[];
let sources: Source[];
const close = async (id: string) => void closed.push(id);
const wrapped = (closing: (id: string) => Promise<void> = close) =>
  closingEgress(host.driver, {
    close: closing,
    list: async () => sources,
    onError: (error) => {
      throw error;
    },
  });
const spec = (egress: boolean) => ({ ...host.key, id: newInstanceId(), epoch: 1, egress });
beforeEach(async () => {
  host = await createInstancesHost();
  closed = [];
  sources = [];
});
afterEach(() => host.close());

test("a stop closes the way out, once, and only of a sandbox that has one", async () => {
  const driver = wrapped();
  const [open, shut] = [await driver.start(spec(true)), await driver.start(spec(false))];
  await driver.stop(shut.id);
  await driver.stop(open.id);
  await driver.stop(open.id);
  expect(closed).toEqual([open.id]);
  expect(await driver.list()).toEqual([]);
});

test("a sandbox of the control plane before this one is known by the list", async () => {
  const { id } = await host.driver.start(spec(true));
  const driver = wrapped();
  await driver.list();
  await driver.stop(id);
  expect(closed).toEqual([id]);
});

test("a start that fails leaves no way out, and says its own reason", async () => {
  const driver = wrapped();
  const broken = { ...spec(true), base: `sha256:${"0".repeat(64)}` };
  await expect(driver.start(broken)).rejects.toMatchObject({ code: "SANDBOX_FAILED" });
  expect(closed).toEqual([broken.id]);
});

test("a proxy that is away is asked again at the next stop", async () => {
  let away = true;
  const driver = wrapped((id) => (away ? Promise.reject(new Error("proxy away")) : close(id)));
  const { id } = await driver.start(spec(true));
  await expect(driver.stop(id)).rejects.toThrow("proxy away");
  away = false;
  await driver.stop(id);
  expect(closed).toEqual([id]);
});

test("sources that no sandbox has are closed when they are old enough, and no others", async () => {
  const driver = wrapped();
  const { id } = await driver.start(spec(true));
  sources = [
    { instance: id, ageMs: 1_000_000 },
    { instance: "left-behind", ageMs: 1_000_000 },
    { instance: "being-made", ageMs: 100 },
  ];
  await driver.list();
  await expect.poll(() => closed).toEqual(["left-behind"]);
  await driver.list();
  expect(closed).toEqual(["left-behind"]); // it is not looked for at every list
});
