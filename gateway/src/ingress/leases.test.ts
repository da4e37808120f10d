import { rmSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { makeLease, makeRoute, makeToken } from "../testing/control-double.ts";
import { Platform, TOKEN, sleep, until } from "../testing/platform.ts";

let platform: Platform;
let held: ServerResponse[] = [];
beforeEach(async () => {
  held = [];
  platform = await new Platform().start({}, { depth: 5, ms: 400 });
});
afterEach(async () => {
  for (const answer of held) answer.end();
  await platform.stop();
});

/** An upstream that answers `/hold` when the test ends the held answer, and everything else at once. */
const holding = () => platform.upstream((request, answer) => void (request.url === "/hold" ? held.push(answer) : answer.end("ok")));
const codeOf = (answer: { body: string }): string => JSON.parse(answer.body).code;
const reasons = (): string[] => platform.control.released.map((release) => release.reason);

describe("growing", () => {
  it("asks for one lease at a cold start that one instance can serve", async () => {
    const upstream = await holding();
    await platform.serve(upstream);
    const grant = platform.control.onLease;
    platform.control.onLease = async (request) => {
      await sleep(50);
      return grant(request);
    };
    const answers = await Promise.all(Array.from({ length: 5 }, () => platform.call("/")));
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200, 200]);
    expect(platform.control.leaseRequests).toHaveLength(1);
    expect(answers.filter((answer) => !answer.headers["server-timing"]?.includes("cold;dur=0.00"))).toHaveLength(1);
  });

  it("grows to max, then queues, then refuses with what to wait for", async () => {
    const upstream = await holding();
    await platform.serve(upstream, { max: 2, concurrency: 1 }, { slots: 1 });
    const busy = [platform.call("/hold"), platform.call("/hold")];
    await until(() => held.length === 2);
    expect(platform.control.leaseRequests).toHaveLength(2);
    const late = await platform.call("/");
    expect([late.status, codeOf(late), late.headers["retry-after"]]).toEqual([429, "CONCURRENCY_EXCEEDED", "1"]);
    expect(late.headers["ratelimit"]).toMatch(/r=0/);
    const waiting = platform.call("/");
    await until(async () => (await platform.gauge("waiting")) === 1);
    held.shift()?.end();
    expect((await waiting).status).toBe(200);
    expect(platform.control.leaseRequests).toHaveLength(2);
    held.shift()?.end();
    await Promise.all(busy);
  });

  it("refuses at once when the queue is full", async () => {
    const upstream = await holding();
    await platform.serve(upstream, { max: 1, concurrency: 1 }, { slots: 1 });
    const busy = platform.call("/hold");
    await until(() => held.length === 1);
    const answers = await Promise.all(Array.from({ length: 9 }, () => platform.call("/")));
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 9 }, () => 429));
    expect(await platform.gauge("waiting")).toBe(0);
    held.shift()?.end();
    await busy;
  });

  it("tells a fault of the function's own code at once: why, to those who may read its log, and to nobody else", async () => {
    const upstream = await holding();
    const failing = { code: "INIT_FAILED", facts: { stack: "at KEY = sk-canary" } } as const;
    const { tenantId } = await platform.serve(upstream);
    await platform.publish(makeRoute({ function: "open", access: "public", tenantId }));
    const [invoker, developer] = ["fnctl_test_invoke_only_0123456789abcdef", "fnctl_test_developer_0123456789abcdef"];
    platform.control.send({ type: "token", token: makeToken(developer, { tenantId, scopes: ["deploy"] }) });
    platform.control.send({ type: "token", token: makeToken(invoker, { tenantId, scopes: ["invoke"] }) });
    await platform.settled();
    platform.control.onLease = () => {
      throw new PlatformError(failing.code, "No such file: sk-canary", { hint: "Look at sk-canary.", facts: failing.facts });
    };
    const owner = await platform.call("/", { token: developer });
    expect([owner.status, JSON.parse(owner.body)]).toMatchObject([502, { ...failing, detail: "No such file: sk-canary" }]);
    const strangers = [
      await platform.call("/", { host: "open--acme.localhost", token: null }),
      await platform.call("/", { host: "open--acme.localhost" }), // it is public, so the token is ignored
      await platform.call("/", { token: invoker }),
    ];
    for (const answer of strangers) {
      expect([answer.status, JSON.parse(answer.body)]).toMatchObject([502, { code: "INIT_FAILED", hint: expect.stringContaining("logs") }]);
      expect(answer.body).not.toContain("canary");
    }
  });

  it("tells how long a function pauses that ends again and again, and does not ask for it meanwhile", async () => {
    await platform.serve(await holding());
    platform.control.onLease = () => {
      throw new PlatformError("FUNCTION_CRASHED", "Again.", { facts: { retryAfterSeconds: 17 } });
    };
    const answer = await platform.call("/");
    expect([answer.status, codeOf(answer), answer.headers["retry-after"]]).toEqual([502, "FUNCTION_CRASHED", "17"]);
    expect(platform.control.leaseRequests).toHaveLength(1);
  });

  it("answers 503 when no instance can be had in time", async () => {
    const upstream = await holding();
    await platform.serve(upstream);
    platform.control.onLease = () => {
      throw new PlatformError("CAPACITY_UNAVAILABLE", "full");
    };
    const answer = await platform.call("/");
    expect([answer.status, codeOf(answer), answer.headers["retry-after"]]).toEqual([503, "CAPACITY_UNAVAILABLE", "2"]);
    expect(platform.control.leaseRequests.length).toBeGreaterThan(1);
  });

  it("does not take the lease of a deposed owner", async () => {
    const upstream = await holding();
    const route = await platform.serve(upstream, {}, { epoch: 7 });
    expect((await platform.call("/")).status).toBe(200);
    platform.control.send({ type: "instance-ended", instance: (await leased())[0]!.instance, reason: "test" });
    platform.control.onLease = (request) => makeLease(request, upstream.path, { epoch: 6 });
    expect((await platform.call("/")).status).toBe(503);
    expect(route.functionId).toBe(platform.control.leaseRequests[0]?.functionId);
  });
});

/** The leases that ingress reports as its own. */
async function leased() {
  platform.control.cutStreams();
  const before = platform.control.renewals.length;
  await until(() => platform.control.renewals.length > before);
  return platform.control.renewals.at(-1)!.leases;
}

describe("giving back", () => {
  it("releases an idle instance after the function's idle time", async () => {
    await platform.serve(await holding(), { idleTimeoutMs: 1_000 });
    await platform.call("/");
    await until(() => reasons().includes("idle"));
    expect(await platform.gauge("leases")).toBe(0);
  });

  it("renews before the lease ends, and after the stream came back", async () => {
    await platform.serve(await holding(), {}, { expiresAt: Date.now() + 1_500 });
    await platform.call("/");
    await until(() => platform.control.renewals.length > 0);
    expect(platform.control.renewals[0]?.leases).toMatchObject([{ inUse: 0, slots: 10, epoch: 1 }]);
    expect(await leased()).toHaveLength(1);
  });

  it("drops a lease that is no longer its own", async () => {
    await platform.serve(await holding());
    await platform.call("/");
    platform.control.lost = [(await leased())[0]!.leaseId];
    platform.control.cutStreams();
    await until(async () => (await platform.gauge("leases")) === 0);
  });

  it("returns a recalled lease at once when free, else when its request ends", async () => {
    await platform.serve(await holding());
    await platform.call("/");
    platform.control.send({ type: "recall", leaseId: (await leased())[0]!.leaseId });
    await until(() => reasons().join() === "recalled");
    const busy = platform.call("/hold");
    await until(() => held.length === 1);
    platform.control.send({ type: "recall", leaseId: (await leased())[0]!.leaseId });
    expect((await platform.call("/")).status).toBe(200);
    expect(platform.control.leaseRequests).toHaveLength(3);
    expect(reasons()).toEqual(["recalled"]);
    held.shift()?.end("late");
    expect((await busy).body).toBe("late");
    await until(() => reasons().join() === "recalled,recalled");
  });

  it("moves to a new version at once and lets the old one finish", async () => {
    const old = await holding();
    const route = await platform.serve(old);
    const busy = platform.call("/hold");
    await until(() => held.length === 1);
    const next = await platform.upstream((_request, answer) => answer.end("v2"));
    platform.control.onLease = (request) => makeLease(request, next.path, { version: 2 });
    await platform.publish({ ...route, targets: [{ versionId: crypto.randomUUID(), version: 2, weight: 100 }] });
    expect((await platform.call("/")).body).toBe("v2");
    expect(reasons()).toEqual([]);
    held.shift()?.end("old");
    expect((await busy).body).toBe("old");
    await until(() => reasons().join() === "idle");
  });

  it("sends those who wait for a retired version to the new one, or away", async () => {
    const route = await platform.serve(await holding(), { max: 1, concurrency: 1 }, { slots: 1 });
    const busy = platform.call("/hold");
    await until(() => held.length === 1);
    const waiting = platform.call("/");
    await until(async () => (await platform.gauge("waiting")) === 1);
    const next = await platform.upstream((_request, answer) => answer.end("v2"));
    platform.control.onLease = (request) => makeLease(request, next.path, { version: 2 });
    platform.control.send({ type: "route", route: { ...route, targets: [{ versionId: crypto.randomUUID(), version: 2, weight: 100 }] } });
    expect((await waiting).body).toBe("v2");
    held.shift()?.end();
    await busy;
    platform.control.send({ type: "route-removed", functionId: route.functionId });
    await until(async () => (await platform.call("/")).status === 404);
  });

  it("is reported as applied only when it is what is served", async () => {
    const route = await platform.serve(await holding());
    await platform.call("/");
    platform.control.applied.length = 0;
    platform.control.send({ type: "route-removed", functionId: route.functionId });
    await until(() => platform.control.applied.length > 0);
    expect(platform.control.applied.at(-1)).toBe(platform.control.position());
    expect((await platform.call("/")).status).toBe(404);
  });
});

describe("the control plane away", () => {
  it("goes on serving what is leased, and comes back by itself", async () => {
    await platform.serve(await holding());
    await platform.call("/");
    await platform.control.stop();
    for (let i = 0; i < 50; i += 1) expect((await platform.call("/")).status).toBe(200);
    expect(JSON.parse((await platform.admin("GET", "/healthz")).body)).toMatchObject({ status: "ready", feedConnected: false });
    rmSync(platform.path("control"), { force: true });
    await platform.control.start();
    await until(() => platform.control.renewals.length > 0);
    await until(async () => (await platform.gauge("feed_connected")) === 1);
    expect(platform.control.sinces.at(-1)).not.toBeNull();
  });

  it("a snapshot replaces what was known", async () => {
    const route = await platform.serve(await holding());
    await platform.call("/");
    platform.control.routes.delete(route.functionId);
    platform.control.cutStreams();
    await until(async () => (await platform.call("/")).status === 404);
    await until(() => reasons().join() === "idle");
  });
});

describe("drain", () => {
  it("finishes what runs, closes the listener, gives leases back", async () => {
    await platform.serve(await holding());
    const busy = platform.call("/hold");
    await until(() => held.length === 1);
    const drained = platform.ingress.drain();
    await until(async () => (await platform.admin("GET", "/healthz")).status === 503);
    await until(refused); // "draining" is said a turn of the loop before the listener is closed
    expect(reasons()).toEqual([]);
    held.shift()?.end("done");
    expect(await busy).toMatchObject({ status: 200, body: "done" });
    await drained;
    expect(reasons()).toEqual(["drain"]);
    expect(platform.log().at(-1)).toMatchObject({ path: "/hold", status: 200 });
  });
  const refused = (): Promise<boolean> =>
    new Promise((resolve) =>
      connect(platform.port, "127.0.0.1")
        .on("connect", () => resolve(false))
        .on("error", () => resolve(true)),
    );
});

describe("the admin socket", () => {
  it("wants the secret for all but health", async () => {
    expect((await platform.admin("GET", "/healthz", undefined)).status).toBe(200);
    for (const secret of ["", "wrong", TOKEN])
      for (const [method, path] of [
        ["GET", "/metrics"],
        ["POST", "/drain"],
      ] as const)
        expect((await platform.admin(method, path, secret)).status).toBe(401);
    expect((await platform.admin("GET", "/metrics")).body).toMatch(/^fnctl_ingress_requests_total \d+$/m);
  });
});
