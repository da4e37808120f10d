// A gateway's process ends with leases in its hands.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { holderName } from "../../contract/holder.ts";
import { ask } from "../../sandbox/testing/ask.ts";
import { createInstancesHost, type InstancesHost } from "../testing/instances-host.ts";

/** `/slow` goes on for 400 ms, whatever its client does; every answer tells how many ran at a time. */
const SLOW = `
let running = 0, most = 0;
export default async (request, response) => {
  running += 1;
  most = Math.max(most, running);
  if (request.url === "/slow") await new Promise((resolve) => setTimeout(resolve, 400));
  if (request.url === "/ever") await new Promise(() => {});
  running -= 1;
  response.end(String(most));
};`;

let host: InstancesHost;
let plane: ReturnType<InstancesHost["controlPlane"]>;
beforeEach(async () => {
  host = await createInstancesHost();
  plane = host.controlPlane(7);
});
afterEach(async () => {
  await plane.pool.close(true);
  await host.close();
});
const dead = holderName("gw-dead", 1_000);
const next = holderName("gw-next", 2_000);

describe("a version with max: 1, held by a gateway whose process has ended", () => {
  async function held(timeoutMs = 10_000) {
    const { info, ask: want } = await host.version({ max: 1, concurrency: 1 }, SLOW);
    info.init.limits.timeoutMs = timeoutMs;
    const lease = await plane.leases.acquire(want(dead));
    return { want, lease, sandbox: { id: lease.instance, address: lease.address } };
  }

  test("is served by another one at once, by the same instance", async () => {
    const { want, lease } = await held();
    await expect(plane.leases.acquire(want(next, 0))).rejects.toMatchObject({ code: "CAPACITY_UNAVAILABLE" });
    plane.leases.gatewayEnded({ gateway: "gw-dead" });
    const begun = performance.now();
    expect((await plane.leases.acquire(want(next, 5_000))).instance).toBe(lease.instance);
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
  test("is served when what it ran for the dead one has ended, and not before", async () => {
    const { want, sandbox } = await held();
    const left = ask(sandbox, "/slow");
    await new Promise((resolve) => setTimeout(resolve, 100));
    plane.leases.gatewayEnded({ gateway: "gw-dead" });
    await plane.leases.acquire(want(next, 5_000));
    expect((await ask(sandbox, "/")).text).toBe("1");
    await left;
  });
  test("is served by a new instance when the old one does not end", async () => {
    const { want, lease, sandbox } = await held(300);
    ask(sandbox, "/ever").catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 50));
    plane.leases.gatewayEnded({ gateway: "gw-dead" });
    const granted = await plane.leases.acquire(want(next, 5_000));
    expect(granted.instance).not.toBe(lease.instance);
    expect((await host.driver.list()).map(({ id }) => id)).not.toContain(lease.instance);
  });
  test("stays with one that lives: another gateway's end, or the end of a process before it, voids nothing", async () => {
    const { want, lease } = await held();
    plane.leases.gatewayEnded({ gateway: "gw-other" });
    plane.leases.gatewayEnded({ gateway: "gw-dead", before: 1_000 });
    await expect(plane.leases.acquire(want(next, 300))).rejects.toMatchObject({ code: "CAPACITY_UNAVAILABLE" });
    const { leaseId, instance, functionId, versionId, slots, epoch } = lease;
    const renewal = { holder: dead, leases: [{ leaseId, instance, functionId, versionId, slots, epoch, inUse: 1 }] };
    expect(plane.leases.renew(renewal).lost).toEqual([]);
    plane.leases.gatewayEnded({ gateway: "gw-dead", before: 1_001 });
    expect(plane.leases.renew(renewal).lost).toEqual([leaseId]);
  });
  test("goes to one of two who wait for it", async () => {
    const { want } = await held();
    const both = Promise.allSettled([plane.leases.acquire(want(next, 600)), plane.leases.acquire(want(holderName("gw-third"), 600))]);
    plane.leases.gatewayEnded({ gateway: "gw-dead" });
    expect((await both).map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  });
});

test("an instance that a gateway gave back while it drained is handed on when nothing runs in it", async () => {
  const { ask: want } = await host.version({ max: 1, concurrency: 1 }, SLOW);
  const lease = await plane.leases.acquire(want(dead));
  const sandbox = { id: lease.instance, address: lease.address };
  const left = ask(sandbox, "/slow"); // its client has left, and the gateway does not wait for it
  await new Promise((resolve) => setTimeout(resolve, 100));
  await plane.leases.release({ holder: dead, leases: [{ leaseId: lease.leaseId, reason: "drain" }] }, () => true);
  expect((await plane.leases.acquire(want(next, 5_000))).instance).toBe(lease.instance);
  expect((await ask(sandbox, "/")).text).toBe("1");
  await left;
});
