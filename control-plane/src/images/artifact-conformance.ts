// Tests of what every ImageStore must do with artifacts; part of the suite of all image stores.
import { randomBytes, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { expect, it } from "vitest";
import { EMPTY } from "./artifact.ts";
import type { ImageStore } from "./layout-store.ts";
import { MEDIA, baseImage } from "./oci.ts";
import type { StoreHarness } from "./store-conformance.ts";
import { sha256 } from "../service/digest.ts";

const SIGNATURE = "application/vnd.example.signature";
const CONTENTS = "application/vnd.example.contents+json";
const repository = () => `t-${randomUUID()}`;
const digestsOf = async (store: ImageStore, name: string, subject: string, type?: string) =>
  (await store.referrers(name, subject, type)).map(({ digest }) => digest).toSorted();

/** Stores a new image and returns its manifest's digest. */
async function putSubject(store: ImageStore, name: string, reference: string): Promise<string> {
  const layer = await store.putBlob(name, MEDIA.layer, Readable.from([randomBytes(100)]));
  const image = baseImage({ layer, process: { args: ["/bin/true"], env: [`A=${randomUUID()}`], cwd: "/" } });
  await store.putImage(name, reference, image);
  return image.manifest.descriptor.digest;
}

export function artifacts(current: () => StoreHarness): void {
  it("attaches artifacts to an image, and lists them with type and annotations", async () => {
    const { store, reopen } = current();
    const name = repository();
    const [subject, other] = [await putSubject(store, name, "one"), await putSubject(store, name, "two")];
    const content = randomBytes(50);
    const layer = await store.putBlob(name, "application/octet-stream", Readable.from([content]));
    const annotations = { "org.opencontainers.image.ref.name": "one", "dev.fnctl.key": "1" };
    const signature = await store.attach(name, subject, { artifactType: SIGNATURE, layers: [layer], annotations });
    const contents = await store.attach(name, subject, { artifactType: CONTENTS, layers: [] });
    const found = await reopen().referrers(name, subject);
    expect(found).toHaveLength(2);
    expect(found).toContainEqual({ ...signature, artifactType: SIGNATURE, annotations });
    expect(found).toContainEqual({ ...contents, artifactType: CONTENTS });
    expect(await digestsOf(store, name, subject, SIGNATURE)).toEqual([signature.digest]);
    expect(await digestsOf(store, name, subject, "application/vnd.example.none")).toEqual([]);
    expect(await digestsOf(store, name, other)).toEqual([]);
    expect((await store.getImage(name, "one")).digest).toBe(subject);
    const read = await reopen().getArtifact(name, signature.digest);
    expect(read).toMatchObject({ artifactType: SIGNATURE, config: EMPTY.descriptor, layers: [layer], subject: { digest: subject } });
    expect(sha256(Buffer.concat(await store.readBlob(name, layer.digest).toArray()))).toBe(sha256(content));
  });

  it("lists what is attached at once, and twice the same once", async () => {
    const { store } = current();
    const name = repository();
    const subject = await putSubject(store, name, "one");
    const attach = (number: number) => store.attach(name, subject, { artifactType: CONTENTS, layers: [], annotations: { n: `${number}` } });
    const made = await Promise.all([0, 1, 2, 3, 4, 5, 0].map(attach));
    expect(await digestsOf(store, name, subject)).toEqual([...new Set(made.map(({ digest }) => digest))].toSorted());
    expect(await digestsOf(store, name, subject)).toHaveLength(6);
  });

  it("attaches nothing to what is not there", async () => {
    const { store } = current();
    const [name, nothing] = [repository(), sha256(randomBytes(10))];
    await putSubject(store, name, "one");
    await expect(store.attach(name, nothing, { artifactType: CONTENTS, layers: [] })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(store.getArtifact(name, nothing)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await digestsOf(store, name, nothing)).toEqual([]);
    expect(await digestsOf(store, repository(), nothing)).toEqual([]);
  });

  it("keeps an artifact, and what is attached to it, as long as its subject and no longer", async () => {
    const { store } = current();
    const name = repository();
    const attach = async (subject: string) => (await store.attach(name, subject, { artifactType: CONTENTS, layers: [] })).digest;
    const subjects = [
      await putSubject(store, name, "by-name"),
      await putSubject(store, name, "by-digest"),
      await putSubject(store, name, "no"),
    ];
    const chains: { subject: string; first: string; second: string }[] = [];
    for (const subject of subjects) {
      const first = await attach(subject);
      chains.push({ subject, first, second: await attach(first) });
    }
    const used = async () => ({ references: new Set(["by-name"]), manifests: new Set([subjects[1]!]) });
    await store.sweep(name, Date.now() + 60_000, used);
    for (const { subject, first, second } of chains.slice(0, 2)) {
      expect(await digestsOf(store, name, subject)).toEqual([first]);
      expect(await digestsOf(store, name, first)).toEqual([second]);
      await expect(store.getArtifact(name, second)).resolves.toMatchObject({ subject: { digest: first } });
    }
    const { subject, first, second } = chains[2]!;
    for (const gone of [subject, first]) expect(await digestsOf(store, name, gone)).toEqual([]);
    for (const gone of [first, second]) await expect(store.getArtifact(name, gone)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("removes artifacts whose subject lost its name before the sweep", async () => {
    const { store } = current();
    const name = repository();
    const [subject, kept] = [await putSubject(store, name, "gone"), await putSubject(store, name, "kept")];
    const { digest } = await store.attach(name, subject, { artifactType: CONTENTS, layers: [] });
    await store.removeReference(name, "gone");
    await store.sweep(name, Date.now() + 60_000, async () => ({ references: new Set(["kept"]), manifests: new Set([kept]) }));
    await expect(store.getArtifact(name, digest)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await digestsOf(store, name, subject)).toEqual([]);
  });
}
