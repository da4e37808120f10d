// How artifacts reach a registry: by its referrers API, or by the fallback tag, which is shared with other clients (distribution-spec 1.1).
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EMPTY } from "@fnctl/control-plane/images/artifact";
import { MEDIA, baseImage, encode } from "@fnctl/control-plane/images/oci";
import type { ImageStore } from "@fnctl/control-plane/images/layout-store";
import { REGISTRY_LIMITS } from "@fnctl/control-plane/images/registry/client";
import { request } from "undici";
import { startFront, type FrontOptions, type Seen } from "./front.ts";
import { createStoreAt, type StoreAt } from "./harness.ts";
import { startReferrersFront } from "./referrers-front.ts";
import { startRegistry, type RegistryProcess } from "./registry-process.ts";
import { sha256 } from "@fnctl/control-plane/service/digest";

const TYPE = "application/vnd.example.signature";
const OTHER = "application/vnd.example.other";
let registry: RegistryProcess;
let place: StoreAt;
let name = "r0";
let numbers = 0;
beforeAll(async () => void ([registry, place] = [await startRegistry(), await createStoreAt()]));
afterAll(async () => void (await Promise.all([registry?.close(), place?.close()])));
beforeEach(() => void (name = `r${++numbers}`));

async function putSubject(store: ImageStore): Promise<string> {
  const layer = await store.putBlob(name, MEDIA.layer, Readable.from([randomBytes(100)]));
  const image = baseImage({ layer, process: { args: ["/x"], env: [], cwd: "/" } });
  await store.putImage(name, "one", image);
  return image.manifest.descriptor.digest;
}
const attach = (store: ImageStore, subject: string, artifactType = TYPE, annotations = { n: "1" }) =>
  store.attach(name, subject, { artifactType, layers: [], annotations });
const tagOf = (subject: string) => subject.replace(":", "-");
const manifestAt = (reference: string) => `http://${registry.host}/v2/${place.prefix}/${name}/manifests/${reference}`;
const fallbackOf = async (subject: string) => (await request(manifestAt(tagOf(subject)), { headers: { accept: MEDIA.index } })).body.json();
const puts = (seen: Seen[]) => seen.filter(({ body }) => body !== undefined).map(({ path }) => path.split("/manifests/")[1]);

/** Writes the whole list under the fallback tag, as another client does. */
async function putFallback(subject: string, document: { bytes: Buffer; descriptor: { mediaType: string } }): Promise<void> {
  const answer = await request(manifestAt(tagOf(subject)), {
    method: "PUT",
    headers: { "content-type": document.descriptor.mediaType },
    body: document.bytes,
  });
  expect([answer.statusCode, await answer.body.text()]).toEqual([201, ""]);
}
const indexOf = (manifests: unknown[], more: object = {}) =>
  encode(MEDIA.index, { schemaVersion: 2, mediaType: MEDIA.index, ...more, manifests });

describe("without the referrers API", () => {
  it("writes the artifact by digest and the list under the fallback tag, type and annotations copied", async () => {
    const front = await startFront(registry.host);
    const store = place.open(front.host);
    const subject = await putSubject(store);
    front.seen.length = 0;
    const artifact = await attach(store, subject);
    expect(puts(front.seen)).toEqual([artifact.digest, tagOf(subject)]);
    expect(JSON.parse(front.seen.find(({ body }) => body !== undefined)!.body!.toString())).toEqual({
      schemaVersion: 2,
      mediaType: MEDIA.manifest,
      artifactType: TYPE,
      config: EMPTY.descriptor,
      layers: [EMPTY.descriptor],
      subject: { mediaType: MEDIA.manifest, digest: subject, size: expect.any(Number) as number },
      annotations: { n: "1" },
    });
    const entry = { ...artifact, artifactType: TYPE, annotations: { n: "1" } };
    expect(await fallbackOf(subject)).toEqual({ schemaVersion: 2, mediaType: MEDIA.index, manifests: [entry] });
    expect(await store.referrers(name, subject)).toEqual([entry]);
    await front.close();
  });

  it("keeps what others put into the list, and adds nothing twice", async () => {
    const store = place.open(registry.host);
    const subject = await putSubject(store);
    const [first, second] = [await attach(store, subject), await attach(store, subject, OTHER)];
    const foreign = { ...first, artifactType: OTHER, annotations: { from: "elsewhere" } };
    await putFallback(subject, indexOf([foreign], { annotations: { of: "another client" } }));
    for (let i = 0; i < 2; i++) await attach(store, subject, OTHER);
    const { manifests } = (await fallbackOf(subject)) as { manifests: unknown[] };
    expect(manifests).toEqual([foreign, { ...second, artifactType: OTHER, annotations: { n: "1" } }]);
  });

  it("puts its own back when another client's list replaced it, and gives up when that never ends", async () => {
    const subject = await putSubject(place.open(registry.host));
    let replaced = 0;
    let times = 1;
    const front = await startFront(registry.host, {
      // Another client always writes a moment later, so that its list, without our entry, is the one that stays.
      answer({ method, path }, response) {
        if (method !== "PUT" || !path.endsWith(tagOf(subject)) || replaced >= times) return false;
        replaced++;
        void putFallback(subject, indexOf([])).then(() => response.writeHead(201).end());
        return true;
      },
    });
    const store = place.open(front.host);
    const artifact = await attach(store, subject);
    expect((await store.referrers(name, subject)).map(({ digest }) => digest)).toEqual([artifact.digest]);
    expect(replaced).toBe(1);
    times = Infinity;
    await expect(attach(store, subject, OTHER)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await front.close();
  });

  it("writes on the condition that the list is the one it read, and reads again when it is not", async () => {
    const store = place.open(registry.host);
    const subject = await putSubject(store);
    await attach(store, subject);
    let refused = 0;
    const conditions: (string | undefined)[] = [];
    const front = await startFront(registry.host, {
      answer({ method, path, headers }, response) {
        if (method !== "PUT" || !path.endsWith(tagOf(subject))) return false;
        conditions.push(headers["if-match"]);
        if (refused++ > 0) return false;
        response.writeHead(412).end();
        return true;
      },
    });
    await attach(place.open(front.host), subject, OTHER);
    expect(conditions).toEqual([expect.stringMatching(/sha256:/), conditions[0]]);
    expect(await store.referrers(name, subject)).toHaveLength(2);
    await front.close();
  });

  it("does not write over a fallback tag that is no list", async () => {
    const store = place.open(registry.host);
    const subject = await putSubject(store);
    const front = await startFront(registry.host, {
      answer({ method, path }, response) {
        if (method !== "GET" || !path.endsWith(tagOf(subject))) return false;
        response.writeHead(200, { "content-type": MEDIA.manifest }).end(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.manifest }));
        return true;
      },
    });
    const seen = await front.during(() => expect(attach(place.open(front.host), subject)).rejects.toMatchObject({ code: "UNAVAILABLE" }));
    expect(puts(seen)).not.toContain(tagOf(subject));
    await front.close();
  });
});

describe("with the referrers API", () => {
  let front: Awaited<ReturnType<typeof startReferrersFront>>;
  beforeAll(async () => void (front = await startReferrersFront(registry.host, { page: 1 })));
  afterAll(() => front?.close());

  it("writes no fallback tag, and reads page after page", async () => {
    const store = place.open(front.host);
    const subject = await putSubject(store);
    front.seen.length = 0;
    const made: string[] = [];
    for (const n of ["1", "2", "3"]) made.push((await attach(store, subject, TYPE, { n })).digest);
    expect(puts(front.seen)).toEqual(made);
    const seen = await front.during(async () => expect((await store.referrers(name, subject)).map(({ digest }) => digest)).toEqual(made));
    expect(seen.map(({ path }) => path.replace(/^.*referrers/, ""))).toEqual([`/${subject}`, `/${subject}?from=1`, `/${subject}?from=2`]);
  });

  it("asks for one type, and believes nobody that it was filtered", async () => {
    const store = place.open(front.host);
    const subject = await putSubject(store);
    await attach(store, subject, OTHER);
    const wanted = await attach(store, subject);
    const seen = await front.during(async () =>
      expect((await store.referrers(name, subject, TYPE)).map(({ digest }) => digest)).toEqual([wanted.digest]),
    );
    expect(seen.map(({ path }) => path)).toEqual([expect.stringContaining(`?artifactType=${encodeURIComponent(TYPE)}`)]);
    const lying = await startFront(front.host, {
      rewrite: ({ path }) => path.replace(/\?artifactType.*/, ""),
      adjust: (_seen, headers) => void (headers["oci-filters-applied"] = "artifactType"),
    });
    expect((await place.open(lying.host).referrers(name, subject, TYPE)).map(({ digest }) => digest)).toEqual([wanted.digest]);
    await lying.close();
  });

  it.each([
    ["as many pages as its limit says", REGISTRY_LIMITS.pages, true],
    ["a page more", REGISTRY_LIMITS.pages + 1, false],
  ])("reads a list of %s", async (_size, pages, taken) => {
    const subject = sha256(randomBytes(10));
    const entries = Array.from({ length: pages }, (_, i) => ({ mediaType: MEDIA.manifest, digest: sha256(Buffer.from(`${i}`)), size: 1 }));
    front.record.set(`${place.prefix}/${name}@${subject}`, entries);
    const found = place.open(front.host).referrers(name, subject);
    if (taken) expect(await found).toEqual(entries);
    else
      await expect(found).rejects.toMatchObject({ code: "UNAVAILABLE", message: expect.stringMatching(/more than 100 pages/) as string });
  });

  const sends = (text: string): FrontOptions => ({ answer: (_seen, response) => (response.end(text), true) });
  const strangeDigest = JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: "a/b", digest: "../x", size: 1 }] });
  it.each<[string, FrontOptions, RegExp]>([
    [
      "that goes on at another place",
      { adjust: (_seen, headers) => void (headers.link = '<http://127.0.0.1:9/v2/>; rel="next"') },
      /at another place/,
    ],
    ["that is no list", sends("[]"), /is not one/],
    ["that is no JSON", sends("hello"), /is not one/],
    ["with digests that are none", sends(strangeDigest), /is not one: manifests.0.digest/],
    ["that is too large", sends(" ".repeat(REGISTRY_LIMITS.documentBytes + 1)), /too large/],
  ])("refuses a list %s", async (_what, options, message) => {
    const strange = await startFront(front.host, options);
    const error = { code: "UNAVAILABLE", message: expect.stringMatching(message) as string };
    await expect(place.open(strange.host).referrers(name, sha256(randomBytes(10)))).rejects.toMatchObject(error);
    await strange.close();
  });
});
