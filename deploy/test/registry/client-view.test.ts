// Requests that the store sends, in the four workflows of the distribution-spec's conformance tests: pull, push, content discovery, content
// management. A front records the requests; the registry behind it is real.
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EMPTY } from "@fnctl/control-plane/images/artifact";
import { MEDIA, baseImage } from "@fnctl/control-plane/images/oci";
import type { ImageStore } from "@fnctl/control-plane/images/layout-store";
import { REGISTRY_LIMITS } from "@fnctl/control-plane/images/registry/client";
import { startFront, type Front, type FrontOptions, type Seen } from "./front.ts";
import { createStoreAt, type StoreAt } from "./harness.ts";
import { startRegistry, type RegistryProcess, type RegistryOptions } from "./registry-process.ts";
import { sha256 } from "@fnctl/control-plane/service/digest";

let registry: RegistryProcess;
let front: Front;
let place: StoreAt;
let store: ImageStore;
let name = "r0";
let numbers = 0;
beforeAll(async () => {
  registry = await startRegistry();
  front = await startFront(registry.host);
  place = await createStoreAt();
  store = place.open(front.host);
});
afterAll(async () => void (await Promise.all([front?.close(), registry?.close(), place?.close()])));
beforeEach(() => void (name = `r${++numbers}`));

const CHUNK = REGISTRY_LIMITS.chunkBytes;
const at = (rest: string, repository = name) => `/v2/${place.prefix}/${repository}/${rest}`;
const put = (bytes: Buffer, to = store) => to.putBlob(name, MEDIA.layer, Readable.from([bytes]));
/** Method, path without the state of an upload, status. */
const line = ({ method, path, status }: Seen): string =>
  `${method} ${path
    .replace(/uploads\/[\w-]+/, "uploads/ID")
    .replace(/_state=[^&]+&?/, "")
    .replace(/\?$/, "")} ${status}`;
const lines = async (what: () => Promise<unknown>) => (await front.during(what)).map(line);

async function putImage(reference = "one", process = { args: ["/x"], env: [`A=${numbers}`], cwd: "/" }) {
  const layer = await put(randomBytes(100));
  const image = baseImage({ layer, process });
  await store.putImage(name, reference, image);
  return { layer, config: image.config.descriptor, manifest: image.manifest.descriptor, image };
}

describe("pull", () => {
  it("a blob: GET by digest", async () => {
    const { digest } = await put(randomBytes(100));
    expect(await lines(() => store.readBlob(name, digest).toArray())).toEqual([`GET ${at(`blobs/${digest}`)} 200`]);
  });

  it("an image by tag and by digest: the manifest with what is accepted, then its config by digest", async () => {
    const { config, manifest } = await putImage();
    for (const reference of ["one", manifest.digest]) {
      const seen = await front.during(() => store.getImage(name, reference));
      expect(seen.map(line)).toEqual([`GET ${at(`manifests/${reference}`)} 200`, `GET ${at(`blobs/${config.digest}`)} 200`]);
      expect(seen[0]!.headers.accept).toBe(MEDIA.manifest);
    }
  });

  it("what is not there: one request, and a coded error", async () => {
    const nothing = sha256(randomBytes(10));
    await putImage();
    for (const [ask, path] of [
      [() => store.getImage(name, "nothing"), at("manifests/nothing")],
      [() => store.getImage(name, nothing), at(`manifests/${nothing}`)],
      [() => store.readBlob(name, nothing).toArray(), at(`blobs/${nothing}`)],
    ] as const)
      expect(await lines(() => expect(ask()).rejects.toMatchObject({ code: "NOT_FOUND" }))).toEqual([`GET ${path} 404`]);
  });
});

describe("push", () => {
  it("a small blob: HEAD, POST, then PUT with its digest, length and type", async () => {
    const bytes = randomBytes(100);
    const seen = await front.during(() => put(bytes));
    const digest = sha256(bytes);
    expect(seen.map(line)).toEqual([
      `HEAD ${at(`blobs/${digest}`)} 404`,
      `POST ${at("blobs/uploads/")} 202`,
      `PUT ${at(`blobs/uploads/ID?digest=${encodeURIComponent(digest)}`)} 201`,
    ]);
    expect(seen[1]!.headers["content-length"]).toBe("0");
    expect(seen[2]!.headers).toMatchObject({ "content-length": "100", "content-type": "application/octet-stream" });
    expect(await lines(() => put(bytes))).toEqual([`HEAD ${at(`blobs/${digest}`)} 200`]);
  });

  it.each([
    ["as large as a chunk, in one request", CHUNK, []],
    ["a byte larger, in two chunks", CHUNK + 1, [`0-${CHUNK - 1}`, `${CHUNK}-${CHUNK}`]],
    ["of two whole chunks", 2 * CHUNK, [`0-${CHUNK - 1}`, `${CHUNK}-${2 * CHUNK - 1}`]],
  ])("a blob %s", async (_size, size, ranges) => {
    const bytes = randomBytes(size);
    const seen = await front.during(() => put(bytes));
    const patches = seen.filter(({ method }) => method === "PATCH");
    expect(patches.map(({ headers }) => headers["content-range"])).toEqual(ranges);
    for (const { headers } of patches) {
      const [start = 0, end = 0] = headers["content-range"]!.split("-").map(Number);
      expect(headers).toMatchObject({ "content-length": `${end - start + 1}`, "content-type": "application/octet-stream" });
    }
    expect(seen.map(({ method }) => method)).toEqual(["HEAD", "POST", ...patches.map(() => "PATCH"), "PUT"]);
    expect(seen.at(-1)!.headers["content-length"]).toBe(ranges.length === 0 ? `${size}` : "0");
    // Each request goes to the Location of the answer before it.
    expect(new Set(seen.slice(2).map(({ path }) => /_state=([^&]+)/.exec(path)?.[1])).size).toBe(seen.length - 2);
  });

  it.each<[string, RegistryOptions, FrontOptions]>([
    ["absolute", {}, {}],
    ["relative", { http: { relativeurls: true } }, {}],
    [
      "with a query of its own",
      {},
      { adjust: (_seen, headers) => void (headers.location &&= `${headers.location}&more=a%2Bb&digest-of=x`) },
    ],
  ])("a Location that is %s", async (kind, options, change) => {
    const other = await startRegistry(options);
    const locations: string[] = [];
    const before = await startFront(other.host, {
      adjust(seen, headers) {
        change.adjust?.(seen, headers);
        if (headers.location !== undefined && seen.status !== 201) locations.push(headers.location);
      },
    });
    const [small, large] = [randomBytes(10), randomBytes(CHUNK + 5)];
    for (const bytes of [small, large]) expect(await put(bytes, place.open(before.host))).toMatchObject({ digest: sha256(bytes) });
    expect(locations.length).toBeGreaterThan(2);
    for (const location of locations) expect(location.startsWith("/")).toBe(kind === "relative");
    const puts = before.seen.filter(({ method, path }) => method === "PUT" && path.includes("uploads"));
    for (const { path } of puts) expect(path.includes("&more=a%2Bb&digest-of=x&digest=sha256%3A")).toBe(kind === "with a query of its own");
    await Promise.all([before.close(), other.close()]);
  });

  it("a registry's least chunk is kept", async () => {
    const before = await startFront(registry.host, {
      adjust: (_seen, headers) => void (headers["oci-chunk-min-length"] = String(CHUNK + 1000)),
    });
    await put(randomBytes(CHUNK + 2000), place.open(before.host));
    const ranges = before.seen.map(({ headers }) => headers["content-range"]).filter((range) => range !== undefined);
    expect(ranges).toEqual([`0-${CHUNK + 999}`, `${CHUNK + 1000}-${CHUNK + 1999}`]);
    await before.close();
  });

  it("a blob of another repository: mounted, or copied where that is refused", async () => {
    const { digest } = await put(randomBytes(100));
    const from = encodeURIComponent(`${place.prefix}/${name}`);
    const mount = `POST ${at("blobs/uploads/", "other")}?mount=${encodeURIComponent(digest)}&from=${from}`;
    expect(await lines(() => store.mountBlob(name, "other", digest))).toEqual([`${mount} 201`]);
    const deaf = await startFront(registry.host, { rewrite: ({ path }) => path.replace(/\?mount=.*/, "") });
    await place.open(deaf.host).mountBlob(name, "third", digest);
    expect(deaf.seen.map(({ method }) => method)).toEqual(["POST", "HEAD", "GET", "HEAD", "POST", "PUT"]);
    expect(await store.blobSize("third", digest)).toBe(100);
    await deaf.close();
  });

  it("an image: config as a blob first, then the manifest by tag with its media type, byte for byte", async () => {
    const layer = await put(randomBytes(100));
    const image = baseImage({ layer, process: { args: ["/x"], env: [], cwd: "/" } });
    const seen = await front.during(() => store.putImage(name, "one", image));
    expect(seen.map(({ method }) => method)).toEqual(["HEAD", "POST", "PUT", "PUT"]);
    expect(line(seen[3]!)).toBe(`PUT ${at("manifests/one")} 201`);
    expect(seen[3]!.headers).toMatchObject({ "content-type": MEDIA.manifest, "content-length": `${image.manifest.bytes.length}` });
    expect(seen[3]!.body!.equals(image.manifest.bytes)).toBe(true);
  });

  it("an artifact: subject looked up, manifest by digest, the list under its tag read before and after", async () => {
    const { manifest } = await putImage();
    const artifactType = "application/vnd.example.signature";
    const first = await store.attach(name, manifest.digest, { artifactType, layers: [] });
    expect(await store.blobSize(name, EMPTY.descriptor.digest)).toBe(2);
    const tag = at(`manifests/${manifest.digest.replace(":", "-")}`);
    let second = first;
    const seen = await lines(
      async () => (second = await store.attach(name, manifest.digest, { artifactType, layers: [], annotations: { a: "b" } })),
    );
    expect(seen).toEqual([
      `HEAD ${at(`manifests/${manifest.digest}`)} 200`,
      `HEAD ${at(`blobs/${EMPTY.descriptor.digest}`)} 200`,
      `PUT ${at(`manifests/${second.digest}`)} 201`,
      `GET ${tag} 200`,
      `PUT ${tag} 201`,
      `GET ${tag} 200`,
    ]);
  });
});

describe("content discovery", () => {
  it("tags: page after page, as Link says", async () => {
    const { image } = await putImage("t0");
    for (const reference of ["t1", "t2"]) await store.putImage(name, reference, image);
    const paged = await startFront(registry.host, { rewrite: ({ path }) => path.replace("n=1000", "n=1") });
    const kept = async () => ({ references: new Set(["t0", "t1", "t2"]), manifests: new Set([image.manifest.descriptor.digest]) });
    await place.open(paged.host).sweep(name, Date.now(), kept);
    expect(paged.seen[0]!.path).toBe(at("tags/list?n=1000"));
    const last = paged.seen.map(({ path }) => new URLSearchParams(path.split("?")[1]).get("last"));
    expect(last.slice(0, 3)).toEqual([null, "t0", "t1"]);
    await paged.close();
  });

  it("a list of a repository that is not there: one request, and nothing found", async () => {
    const nothing = async () => ({ references: new Set<string>(), manifests: new Set<string>() });
    expect(await lines(() => store.sweep("nowhere", 0, nothing))).toEqual([`GET ${at("tags/list?n=1000", "nowhere")} 404`]);
  });

  it("referrers: the API first, then the fallback tag; the type asked for and filtered", async () => {
    const { manifest } = await putImage();
    const tag = at(`manifests/${manifest.digest.replace(":", "-")}`);
    const seen = await front.during(() => store.referrers(name, manifest.digest, "a/b"));
    expect(seen.map(line)).toEqual([`GET ${at(`referrers/${manifest.digest}`)}?artifactType=a%2Fb 404`, `GET ${tag} 404`]);
    expect(seen.map(({ headers }) => headers.accept)).toEqual([MEDIA.index, MEDIA.index]);
  });
});

describe("content management", () => {
  it("a tag: HEAD for its digest, DELETE by its name, and its namesakes stay", async () => {
    const { image } = await putImage();
    await store.putImage(name, "two", image);
    const tag = at("manifests/one");
    expect(await lines(() => store.removeReference(name, "one"))).toEqual([`HEAD ${tag} 200`, `DELETE ${tag} 202`]);
    expect(await lines(() => store.removeReference(name, "one"))).toEqual([`HEAD ${tag} 404`]);
    expect((await store.getImage(name, "two")).digest).toBe(image.manifest.descriptor.digest);
  });

  it.each([400, 405])("a registry that answers %i to that: DELETE by digest, when no other tag has it", async (status) => {
    const { image, manifest } = await putImage();
    await store.putImage(name, "two", image);
    const strict = await startFront(registry.host, {
      answer({ method, path }, response) {
        if (method !== "DELETE" || path.includes("sha256:")) return false;
        response.writeHead(status).end();
        return true;
      },
    });
    const deletes = async (reference: string) => {
      const seen = await strict.during(() => place.open(strict.host).removeReference(name, reference));
      return seen.filter(({ method }) => method === "DELETE").map(line);
    };
    expect(await deletes("one")).toEqual([`DELETE ${at("manifests/one")} ${status}`]);
    await store.removeReference(name, "two");
    expect(await deletes("one")).toEqual([`DELETE ${at("manifests/one")} ${status}`, `DELETE ${at(`manifests/${manifest.digest}`)} 202`]);
    await strict.close();
  });

  it("a digest that is not told is worked out before anything is removed by it", async () => {
    const { manifest } = await putImage();
    const silent = await startFront(registry.host, { adjust: (_seen, headers) => void delete headers["docker-content-digest"] });
    const quiet = place.open(silent.host);
    const used = async () => ({ references: new Set<string>(), manifests: new Set([manifest.digest]) });
    expect(await quiet.sweep(name, Date.now() + 60_000, used)).toBe(0);
    expect((await store.getImage(name, "one")).digest).toBe(manifest.digest);
    await silent.close();
  });

  it("an upload that fails: cancelled where it stood", async () => {
    const bytes = randomBytes(100);
    const wrong = await startFront(registry.host, {
      rewrite: ({ method, path }) => (method === "PUT" ? path.replace(/digest=.*/, `digest=${sha256(randomBytes(1))}`) : path),
    });
    await expect(put(bytes, place.open(wrong.host))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const again = ["POST", "PUT", "HEAD", "DELETE"];
    expect(wrong.seen.map(({ method }) => method)).toEqual(["HEAD", ...Array.from({ length: REGISTRY_LIMITS.tries }, () => again).flat()]);
    await expect(store.blobSize(name, sha256(bytes))).rejects.toMatchObject({ code: "NOT_FOUND" });
    await wrong.close();
  });
});
