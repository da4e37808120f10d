// Connections that break and registries that are busy: a push or pull either succeeds in the end or fails with an error code, and never
// gives other bytes.
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { baseImage, MEDIA } from "@fnctl/control-plane/images/oci";
import type { ImageStore } from "@fnctl/control-plane/images/layout-store";
import { REGISTRY_LIMITS, createRegistryClient } from "@fnctl/control-plane/images/registry/client";
import { blobBytes } from "@fnctl/control-plane/images/registry/download";
import { startCutter, type Cut } from "./cutter.ts";
import { startFront, type Front, type FrontOptions, type Seen } from "./front.ts";
import { createStoreAt, type StoreAt } from "./harness.ts";
import { startRegistry, type RegistryProcess } from "./registry-process.ts";
import { sha256 } from "@fnctl/control-plane/service/digest";

const MIB = 1024 * 1024;
/** A blob of two whole chunks and a part of a third. */
const bytes = randomBytes(2 * REGISTRY_LIMITS.chunkBytes + 5 * MIB);
const digest = sha256(bytes);
/** Each test has a repository of its own. */
let name = "r0";
let numbers = 0;
let registry: RegistryProcess;
let place: StoreAt;
beforeAll(async () => void ([registry, place] = [await startRegistry(), await createStoreAt()]));
afterAll(async () => void (await Promise.all([registry?.close(), place?.close()])));
beforeEach(() => void (name = `r${++numbers}`));

const push = (store: ImageStore) => store.putBlob(name, MEDIA.layer, Readable.from([bytes]));
const pull = async (store: ImageStore) => sha256(Buffer.concat(await store.readBlob(name, digest).toArray()));
const starts = (seen: Seen[]) =>
  seen.filter(({ method }) => method === "PATCH").map(({ headers }) => Number(headers["content-range"]?.split("-")[0]));
const count = (seen: Seen[], method: string) => seen.filter((one) => one.method === method).length;

describe("a connection that is cut", () => {
  /** The chain of connections: client, cutter, recording front, registry. */
  let cutter: Awaited<ReturnType<typeof startCutter>>;
  let front: Front;
  let store: ImageStore;
  beforeAll(async () => {
    front = await startFront(registry.host);
    cutter = await startCutter(front.host);
    store = place.open(cutter.host);
  });
  afterAll(async () => void (await Promise.all([cutter?.close(), front?.close()])));

  it.each<[string, Cut]>([
    ["before the first chunk's first byte", { at: /^PATCH /, sent: 1, times: 1 }],
    ["in the middle of a chunk", { at: /^PATCH /, sent: 5 * MIB, times: 1 }],
    ["in the middle of a chunk, twice", { at: /^PATCH /, sent: 9 * MIB, times: 2 }],
    ["after a chunk was taken, before that is said", { at: /^PATCH /, received: 0, times: 1 }],
    ["in the middle of what is said of a chunk", { at: /^PATCH /, received: 20, times: 1 }],
  ])("pushes a blob, and goes on where the registry says that it stopped: %s", async (_when, cut) => {
    cutter.arm(cut);
    const seen = await front.during(async () => expect(await push(store)).toEqual({ mediaType: MEDIA.layer, digest, size: bytes.length }));
    expect(cutter.made()).toBe(cut.times);
    // While the registry still writes bytes from before the cut, it may be asked again; its last answer counts.
    const asked = seen.filter(({ method, path, status }) => method === "GET" && path.includes("/uploads/") && status === 204);
    expect(asked.length).toBeGreaterThanOrEqual(cut.times);
    for (const one of asked) {
      const next = seen[seen.indexOf(one) + 1]!;
      const last = Number(one.told!["range"]!.split("-")[1]);
      expect([next.method, starts([next])]).toEqual(["PATCH", [last === 0 ? 0 : last + 1]]);
    }
    expect(await pull(place.open(registry.host))).toBe(digest);
  });

  it.each<[string, Cut, Record<string, number>]>([
    ["before the end of an upload is heard", { at: /^PUT .*uploads/, received: 0, times: 1 }, { POST: 1, PUT: 1 }],
    ["at the beginning of an upload", { at: /^POST /, received: 0, times: 1 }, { POST: 2, PUT: 1 }],
  ])("pushes a blob: %s", async (_when, cut, counts) => {
    cutter.arm(cut);
    const seen = await front.during(() => push(store));
    expect(cutter.made()).toBe(cut.times);
    for (const [method, times] of Object.entries(counts)) expect([method, count(seen, method)]).toEqual([method, times]);
    expect(await pull(place.open(registry.host))).toBe(digest);
  });

  it.each<[string, Cut]>([
    ["before the answer", { at: /^GET .*blobs/, received: 0, times: 1 }],
    ["early", { at: /^GET .*blobs/, received: 2_000, times: 1 }],
    ["again and again", { at: /^GET .*blobs/, received: 7 * MIB, times: REGISTRY_LIMITS.tries - 1 }],
  ])("pulls a blob, and asks only for what is missing: %s", async (_when, cut) => {
    await push(place.open(registry.host));
    cutter.arm(cut);
    const seen = await front.during(async () => expect(await pull(store)).toBe(digest));
    expect(cutter.made()).toBe(cut.times);
    const asked = seen.map(({ headers }) => headers["range"]);
    expect(asked).toHaveLength(cut.times + 1);
    expect(asked[0]).toBeUndefined();
    if (cut.received! > 0)
      for (const [index, status] of seen
        .slice(1)
        .map((one) => one.status)
        .entries())
        expect([asked[index + 1], status]).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/), 206]);
  });

  it.each<[string, Cut]>([
    ["before the answer of a manifest's PUT", { at: /^PUT .*manifests/, received: 0, times: 1 }],
    ["in the middle of a manifest that is sent", { at: /^PUT .*manifests/, sent: 300, times: 2 }],
    ["in the middle of a manifest that is read", { at: /^GET .*manifests/, received: 400, times: 2 }],
    ["in the middle of a config that is read", { at: /^GET .*blobs/, received: 400, times: 2 }],
  ])("puts and gets an image: %s", async (_when, cut) => {
    const layer = await store.putBlob(name, MEDIA.layer, Readable.from([randomBytes(1000)]));
    const image = baseImage({ layer, process: { args: ["/x"], env: [], cwd: "/" } });
    cutter.arm(cut);
    await store.putImage(name, "one", image);
    expect((await store.getImage(name, "one")).digest).toBe(image.manifest.descriptor.digest);
    expect(cutter.made()).toBe(cut.times);
  });

  it("gives up on an upload that always breaks, and leaves nothing", async () => {
    cutter.arm({ at: /^PATCH /, sent: 5 * MIB, times: Infinity });
    const seen = await front.during(() => expect(push(store)).rejects.toMatchObject({ code: "UNAVAILABLE" }));
    expect(count(seen, "POST")).toBe(REGISTRY_LIMITS.tries);
    await expect(place.open(registry.host).blobSize(name, digest)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("gives up on a download that breaks as often as there are tries", async () => {
    await push(place.open(registry.host));
    cutter.arm({ at: /^GET .*blobs/, received: 1 * MIB, times: REGISTRY_LIMITS.tries });
    await expect(pull(store)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("gives up on a registry that is not there", async () => {
    await expect(place.open("127.0.0.1:9").blobSize(name, digest)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("a registry that loses an upload", () => {
  it.each([
    ["fewer times than there are tries", REGISTRY_LIMITS.tries - 1, true],
    ["as often as there are tries", REGISTRY_LIMITS.tries, false],
  ])("is sent it from its start, which may happen %s", async (_often, times, succeeds) => {
    const ids: string[] = [];
    const forgetful = await startFront(registry.host, {
      answer({ path }, response) {
        const id = /uploads\/([\w-]+)/.exec(path)?.[1];
        if (id === undefined) return false;
        if (!ids.includes(id)) ids.push(id);
        if (ids.length > times) return false;
        response.writeHead(404).end();
        return true;
      },
    });
    const pushed = push(place.open(forgetful.host));
    if (succeeds) expect(await pushed).toMatchObject({ digest });
    else await expect(pushed).rejects.toMatchObject({ code: "UNAVAILABLE", message: expect.stringMatching(/lost an upload/) as string });
    expect(ids).toHaveLength(succeeds ? times + 1 : times);
    await forgetful.close();
  });
});

describe("a registry that is busy", () => {
  let front: Front;
  let refusals: { match: RegExp; status: number; headers: Record<string, string>; left: number };
  const refuse = (match: RegExp, status: number, left: number, headers: Record<string, string> = {}) =>
    void (refusals = { match, status, headers, left });
  beforeAll(async () => {
    front = await startFront(registry.host, {
      answer({ method, path }, response) {
        if (!refusals.match.test(`${method} ${path}`) || refusals.left-- <= 0) return false;
        response.writeHead(refusals.status, refusals.headers).end("busy");
        return true;
      },
    });
  });
  afterAll(() => front?.close());

  it.each([
    ["POST", 503],
    ["PATCH", 503],
    ["PATCH", 429],
    ["PUT", 502],
    ["HEAD", 429],
  ])("pushes after %s was answered %i", async (method, status) => {
    refuse(new RegExp(`^${method} `), status, REGISTRY_LIMITS.tries - 1);
    await push(place.open(front.host));
    expect(refusals.left).toBeLessThan(0);
    expect(await pull(place.open(registry.host))).toBe(digest);
  });

  it("waits as long as Retry-After says", async () => {
    await push(place.open(registry.host));
    // A registry that is asked again too early refuses again.
    refuse(/^HEAD /, 429, Infinity, { "retry-after": "1" });
    setTimeout(() => (refusals.left = 0), 900);
    const seen = await front.during(async () => expect(await place.open(front.host).blobSize(name, digest)).toBe(bytes.length));
    expect(seen.map(({ status }) => status)).toEqual([429, 200]);
  });

  it.each([
    ["no longer than its limit", String(REGISTRY_LIMITS.retryAfterMostMs / 1000 + 1)],
    ["whatever the form", new Date(Date.now() + 10 * REGISTRY_LIMITS.retryAfterMostMs).toUTCString()],
  ])("does not wait longer than the limit: %s", async (_why, pause) => {
    refuse(/^HEAD /, 503, 10, { "retry-after": pause });
    const seen = await front.during(() =>
      expect(place.open(front.host).blobSize(name, digest)).rejects.toMatchObject({ code: "UNAVAILABLE" }),
    );
    expect(seen).toHaveLength(1);
  });

  it("gives up after so many tries", async () => {
    refuse(/^HEAD /, 503, 10);
    const seen = await front.during(() =>
      expect(place.open(front.host).blobSize(name, digest)).rejects.toMatchObject({ code: "UNAVAILABLE" }),
    );
    expect(seen).toHaveLength(REGISTRY_LIMITS.tries);
  });
});

describe("a registry that has other bytes", () => {
  const cutOnce = async (options: FrontOptions) => {
    const front = await startFront(registry.host, options);
    const cutter = await startCutter(front.host);
    cutter.arm({ at: /^GET /, received: 7 * MIB, times: 1 });
    return { front, host: cutter.host, close: async () => void (await Promise.all([cutter.close(), front.close()])) };
  };

  it("may know no ranges: what was read is passed over", async () => {
    await push(place.open(registry.host));
    const deaf = await cutOnce({
      rewrite: ({ path, headers }) => {
        delete headers.range;
        return path;
      },
    });
    expect(await pull(place.open(deaf.host))).toBe(digest);
    expect(deaf.front.seen.map(({ status }) => status)).toEqual([200, 200]);
    await deaf.close();
  });

  it("may not send another part than the one that is missing", async () => {
    await push(place.open(registry.host));
    const wrong = await cutOnce({ adjust: (_seen, headers) => void (headers["content-range"] &&= `bytes 1-9/10`) });
    const error = { code: "UNAVAILABLE", message: expect.stringMatching(/another part/) as string };
    await expect(pull(place.open(wrong.host))).rejects.toMatchObject(error);
    await wrong.close();
  });

  it("fails a blob at its end, and a manifest and a config by digest", async () => {
    const store = place.open(registry.host);
    const layer = await store.putBlob(name, MEDIA.layer, Readable.from([randomBytes(1000)]));
    const image = baseImage({ layer, process: { args: ["/x"], env: [], cwd: "/" } });
    await store.putImage(name, "one", image);
    const swap = (from: string, to: string) => startFront(registry.host, { rewrite: ({ path }) => path.replace(from, to) });
    const [config, manifest] = [image.config.descriptor.digest, image.manifest.descriptor.digest];
    const other = await store.putBlob(name, MEDIA.layer, Readable.from([randomBytes(1000)]));
    const changed = baseImage({ layer: other, process: { args: ["/y"], env: [], cwd: "/" } });
    await store.putImage(name, "two", changed);
    for (const [from, to, ask] of [
      [layer.digest, other.digest, (s: ImageStore) => s.readBlob(name, layer.digest).toArray()],
      [manifest, changed.manifest.descriptor.digest, (s: ImageStore) => s.getImage(name, manifest)],
      [config, changed.config.descriptor.digest, (s: ImageStore) => s.getImage(name, "one")],
    ] as const) {
      const front = await swap(from, to);
      await expect(ask(place.open(front.host))).rejects.toMatchObject({ code: "INTERNAL" });
      await front.close();
    }
  });
});

describe("a blob", () => {
  const read = async (most: number) => {
    const store = place.open(registry.host);
    await push(store);
    const client = createRegistryClient({ url: `http://${registry.host}/${place.prefix}` });
    let got = 0;
    for await (const chunk of blobBytes(client, client.path(name), digest, most)) got += chunk.length;
    return got;
  };
  it("is read up to the limit", async () => expect(await read(bytes.length)).toBe(bytes.length));
  it("is given up beyond it", async () => await expect(read(bytes.length - 1)).rejects.toMatchObject({ code: "UNAVAILABLE" }));
});
