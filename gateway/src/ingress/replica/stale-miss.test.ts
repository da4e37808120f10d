// Answers for unknown functions and tokens while the gateway is cut off from the control plane.
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { OTHER_TOKEN, Platform, TOKEN, sleep, until } from "../../testing/platform.ts";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Call } from "../call/call.ts";
import { createSecondLook } from "./stale-miss.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await new Platform().start();
});
afterEach(() => platform.stop());

const NEW = "new--acme.localhost";
async function cutOff(): Promise<void> {
  await platform.control.stop();
  await until(async () => (await platform.gauge("feed_connected")) === 0);
}
async function back(): Promise<void> {
  rmSync(platform.path("control"), { force: true });
  await platform.control.start();
}

it("a function deployed while the stream was broken is waited for, and answers", async () => {
  const upstream = await platform.upstream((_request, answer) => answer.end("new"));
  const known = await platform.serve(upstream);
  await cutOff();
  const early = platform.call("/", { host: NEW });
  await sleep(50);
  const made = { ...known, functionId: randomUUID(), function: "new" };
  platform.control.routes.set(made.functionId, made);
  await back();
  expect(await early).toMatchObject({ status: 200, body: "new" });
});

it("while nobody can know, all that is not known is answered alike, whether it exists or not; what is known goes on", async () => {
  const upstream = await platform.upstream((_request, answer) => answer.end("ok"));
  await platform.serve(upstream);
  await platform.call("/");
  await cutOff();
  const tries = [
    { host: NEW },
    { host: NEW, token: null },
    { token: null },
    { token: OTHER_TOKEN },
    { host: NEW, token: OTHER_TOKEN },
    { token: "fnctl_x_00000000000000000000000000000000" },
  ];
  const answers = await Promise.all(tries.map((options) => platform.call("/", options)));
  for (const answer of answers) {
    expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "2"]);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "UNAVAILABLE", detail: JSON.parse(answers[0]!.body).detail });
  }
  expect((await platform.call("/", { token: TOKEN })).status).toBe(200);
});

it("a caller that gives up while it waits is forgotten", async () => {
  await cutOff();
  const socket = connect(platform.port, "127.0.0.1");
  socket.write(`GET / HTTP/1.1\r\nHost: ${NEW}\r\n\r\n`);
  await until(async () => (await platform.gauge("in_flight")) === 1);
  socket.destroy();
  await until(async () => (await platform.gauge("in_flight")) === 0, 1_000);
  await until(() => platform.log().some(({ status }) => status === 499));
});

it("only so many wait; the next one is told at once", async () => {
  let told = 0;
  let release!: () => void;
  const stands = new Promise<void>((resolve) => (release = resolve));
  const secondLook = createSecondLook({ connected: false, reach: () => stands });
  const call = { phase: "asked" } as Call;
  const missing = () => new PlatformError("NOT_FOUND", "unknown");
  const codes = Array.from({ length: GATEWAY_LIMITS.staleMisses }, async () => {
    const refused = await secondLook(call, missing(), missing);
    told += 1;
    return refused?.code;
  });
  await sleep(0);
  expect(told).toBe(0);
  expect((await secondLook(call, missing(), missing))?.code).toBe("UNAVAILABLE");
  expect(told).toBe(0);
  release();
  expect(new Set(await Promise.all(codes))).toEqual(new Set(["UNAVAILABLE"]));
  expect((await secondLook(call, missing(), () => undefined))?.code).toBe(undefined);
});
