// What the tenant is told when its function does not load, for each way in which that can happen, and what the function's clients are told.
import { createServer, type RequestListener } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PlatformError } from "../../contract/errors.ts";
import type { Sandbox } from "../../sandbox/driver.ts";
import { initConnection, initInstance, NoInitAnswer } from "../../sandbox-client/instance-client.ts";
import { explainLoadFailure, hideLoadFailure } from "./load-failure.ts";
import { createInstancesHost, type InstancesHost } from "../testing/instances-host.ts";

describe("init", () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(path.join(tmpdir(), "fn-lf-"))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function initOf(listener: RequestListener, timeoutMs = 5_000): Promise<unknown> {
    const server = createServer(listener);
    const socket = path.join(folder, "s");
    await new Promise<void>((resolve) => void server.listen(socket, resolve));
    const client = initConnection({ id: "0".repeat(20), address: { kind: "unix", path: socket } });
    const error: unknown = await initInstance(client, {} as never, timeoutMs).catch((reason: unknown) => reason);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    return error;
  }

  test.each<[string, RequestListener]>([
    ["never comes", () => undefined],
    ["never ends", (_request, response) => void response.writeHead(200).write("{")],
  ])("whose answer %s takes too long", async (_what, listener) => {
    expect(await initOf(listener, 100)).toMatchObject({ timedOut: true });
    expect(await initOf(listener, 100)).toBeInstanceOf(NoInitAnswer);
  });
  test.each<[string, RequestListener]>([
    ["a connection that ends", (request) => void request.socket.destroy()],
    ["half an answer", (_request, response) => void response.writeHead(200, { "content-length": 9 }).write("{", () => response.destroy())],
    ["what is no JSON", (_request, response) => void response.end("<html>")],
    ["another answer", (_request, response) => void response.writeHead(500).end("{}")],
  ])("answered by %s", async (_what, listener) => expect(await initOf(listener)).toMatchObject({ timedOut: false }));

  test("refused with the owner's own words", async () => {
    const body = JSON.stringify({ message: "The code called process.exit(3) while it was loaded.", stack: "at leave" });
    const error = await initOf((_request, response) => void response.writeHead(422).end(body));
    expect(error).toMatchObject({ code: "INIT_FAILED", message: expect.stringContaining("process.exit(3)"), facts: { stack: "at leave" } });
  });
});

describe("what the owner is told", () => {
  const ID = "0123456789abcdef0123";
  const image = {} as never;
  const listing = (ended?: Sandbox["ended"]) => ({
    list: async () => [{ id: ID, ...(ended === undefined ? {} : { ended }) }] as Sandbox[],
  });
  const explain = (error: unknown, ended?: Sandbox["ended"], lines: string[] = []) =>
    explainLoadFailure(error, ID, image, { driver: listing(ended), lastOutput: async () => lines });
  const silence = new NoInitAnswer(false, undefined);

  test.each<[string, NoInitAnswer, Sandbox["ended"], RegExp, RegExp]>([
    ["time is over", new NoInitAnswer(true, undefined), undefined, /still being loaded/, /loop without end/],
    ["out of memory", silence, { reason: "oom", detail: "It used more than its 128 MiB of memory." }, /out of memory.*128 MiB/, /memory/],
    ["gone", silence, { reason: "exited", detail: "Its process ended by itself." }, /process ended.*by itself/, /os\._exit/],
    ["ended from outside", silence, { reason: "exited", detail: "The cluster ended it: Evicted" }, /Evicted/, /./],
    ["it runs on", silence, undefined, /broke off/, /sockets/],
  ])("%s", async (_what, error, ended, message, hint) => {
    const told = (await explain(error, ended, ["one", "two"])) as PlatformError;
    expect(told).toMatchObject({ code: "INIT_FAILED", message: expect.stringMatching(message), hint: expect.stringMatching(hint) });
    expect(told.facts).toEqual({ output: "one\ntwo" });
    expect(((await explain(error, ended)) as PlatformError).facts).toEqual({});
  });

  test("what the function said itself is left as it is, and a log that is away hides nothing", async () => {
    const own = new PlatformError("INIT_FAILED", "TypeError: x");
    expect(await explain(own)).toBe(own);
    const away = () => Promise.reject(new Error("away"));
    const witness = { driver: listing({ reason: "oom", detail: "" }), lastOutput: away };
    expect(await explainLoadFailure(silence, ID, image, witness)).toMatchObject({ message: expect.stringContaining("out of memory") });
  });

  test("clients are told that it failed, and other errors as they are", () => {
    const hidden = () => hideLoadFailure(new PlatformError("INIT_FAILED", "inside", { facts: { stack: "inside", output: "inside" } }));
    expect(hidden).toThrow(
      expect.objectContaining({ code: "INIT_FAILED", message: "The function could not be loaded.", facts: undefined }),
    );
    expect(() => hideLoadFailure(new PlatformError("CAPACITY_UNAVAILABLE", "full"))).toThrow("full");
  });
});

describe("an instance that ends while it loads", () => {
  let host: InstancesHost;
  beforeEach(async () => (host = await createInstancesHost()));
  afterEach(() => host.close());

  test("is explained by how the driver saw it end", async () => {
    const { leases } = host.controlPlane(1);
    const { ask } = await host.version({}, "await new Promise(() => {});");
    const wanted = leases.acquire(ask("gw-1")).catch((error: unknown) => error);
    const loading = () => host.driver.list().then((all) => all.find(({ state }) => state === "loaded")?.id);
    await expect.poll(loading, { timeout: 5_000 }).toBeDefined();
    await host.driver.crash((await loading()) ?? "", "oom");
    expect(await wanted).toMatchObject({ code: "INIT_FAILED", message: expect.stringContaining("ran out of memory") });
  });
});
