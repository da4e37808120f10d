// Round trips with widely used tools: they copy and validate images that the store pushed, and the store reads images that they pushed.
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createLayoutStore, type ImageStore } from "@fnctl/control-plane/images/layout-store";
import { MEDIA, baseImage, versionImage } from "@fnctl/control-plane/images/oci";
import { archive, file } from "@fnctl/control-plane/images/testing/archives";
import { run } from "../../single/src/run.ts";
import { createStoreAt, type StoreAt } from "./harness.ts";
import { onPath, startRegistry, type RegistryProcess } from "./registry-process.ts";
import { sha256 } from "@fnctl/control-plane/service/digest";

/** More than one chunk of an upload. */
const LARGE = 20 * 1024 * 1024;
let registry: RegistryProcess;
let place: StoreAt;
let store: ImageStore;
let name = "r0";
let numbers = 0;
beforeAll(async () => {
  [registry, place] = [await startRegistry(), await createStoreAt()];
  store = place.open(registry.host);
});
afterAll(async () => void (await Promise.all([registry?.close(), place?.close()])));
beforeEach(() => void (name = `r${++numbers}`));

const at = (reference: string) => `${registry.host}/${place.prefix}/${name}:${reference}`;
const crane = (verb: string, ...args: string[]) => run("crane", [verb, "--insecure", ...args]);
const skopeo = (verb: string, ...args: string[]) => run("skopeo", ["--insecure-policy", verb, ...args]);
const tar = async (content: Buffer | string) => Buffer.concat((await archive(file("etc/os-release", content)).toArray()) as Buffer[]);
const codeOf = async (bytes = randomBytes(50)) => store.putBlob(name, MEDIA.layer, Readable.from([await tar(bytes.toString("hex"))]));

async function pushOurs() {
  const layer = await store.putBlob(name, MEDIA.layer, Readable.from([await tar(randomBytes(LARGE).toString("latin1"))]));
  const base = baseImage({ layer, process: { args: ["/bin/true"], env: ["A=b"], cwd: "/" } });
  await store.putImage(name, "base", base);
  const image = versionImage(await store.getImage(name, base.manifest.descriptor.digest), await codeOf(), {
    "dev.fnctl.runtime": "node24",
  });
  await store.putImage(name, "one", image);
  return { image, layer };
}

/** Reads an image by tag and by digest, checks every layer, and uses it as a base: a version built on it must be complete as well. */
async function readForeign(reference: string, digest: string): Promise<void> {
  const found = await store.getImage(name, reference);
  expect(found.digest).toBe(digest);
  expect(await store.getImage(name, digest)).toEqual(found);
  expect(found.config.config).toMatchObject({ User: "10001:10001", Entrypoint: ["/x"], WorkingDir: "/srv" });
  expect(found.config.config.Env).toContain("A=b");
  for (const layer of found.manifest.layers) {
    const bytes = Buffer.concat(await store.readBlob(name, layer.digest).toArray());
    expect([sha256(bytes), bytes.length]).toEqual([layer.digest, layer.size]);
  }
  const base = name;
  name = `${base}-tenant`;
  for (const layer of found.manifest.layers) await store.mountBlob(base, name, layer.digest);
  const version = versionImage(found, await codeOf(), {});
  await store.putImage(name, "version", version);
  expect(await crane("digest", at("version"))).toBe(`${version.manifest.descriptor.digest}\n`);
  expect(await crane("validate", "--fast", "--remote", at("version"))).toMatch(/PASS/);
}

describe.skipIf(!onPath("skopeo"))("skopeo (Debian's package; skipped where it cannot be had)", () => {
  it("copies what the store pushed into a layout, and describes it", async () => {
    const { image, layer } = await pushOurs();
    const digest = image.manifest.descriptor.digest;
    const about = JSON.parse(await skopeo("inspect", "--tls-verify=false", `docker://${at("one")}`)) as { RepoTags: string[] };
    expect(about.RepoTags.toSorted()).toEqual(["base", "one"]);
    expect(about).toMatchObject({ Digest: digest, Labels: { "dev.fnctl.runtime": "node24" }, Env: ["A=b"] });
    // Without --preserve-digests skopeo would compress uncompressed layers.
    await skopeo(
      "copy",
      "--preserve-digests",
      "--src-tls-verify=false",
      `docker://${at("one")}`,
      `oci:${path.join(place.folder, "skopeo")}:one`,
    );
    const copied = createLayoutStore(place.folder);
    expect(await copied.getImage("skopeo", "one")).toEqual(await store.getImage(name, digest));
    expect(await copied.blobSize("skopeo", layer.digest)).toBe(layer.size);
  });

  it.skipIf(!onPath("umoci"))("pushes an image that umoci made, which the store reads and builds on", async () => {
    const layout = path.join(place.folder, "umoci");
    const layer = path.join(place.folder, "umoci.tar");
    await writeFile(layer, await tar("ID=test\n"));
    await run("umoci", ["init", "--layout", layout]);
    await run("umoci", ["new", "--image", `${layout}:one`]);
    await run("umoci", ["raw", "add-layer", "--image", `${layout}:one`, layer]);
    const settings = ["--config.user", "10001:10001", "--config.entrypoint", "/x", "--config.workingdir", "/srv", "--config.env", "A=b"];
    await run("umoci", ["config", "--image", `${layout}:one`, ...settings]);
    await skopeo("copy", "--dest-tls-verify=false", `oci:${layout}:one`, `docker://${at("one")}`);
    await readForeign("one", (await skopeo("inspect", "--tls-verify=false", "--format={{.Digest}}", `docker://${at("one")}`)).trim());
  });
});

describe("crane", () => {
  it("validates and pulls what the store pushed", async () => {
    const { image, layer } = await pushOurs();
    expect((await crane("digest", at("one"))).trim()).toBe(image.manifest.descriptor.digest);
    // Without --fast crane assumes that every layer is compressed, whatever its media type says.
    expect(await crane("validate", "--fast", "--remote", at("one"))).toMatch(/PASS/);
    await crane("pull", "--format=oci", at("one"), path.join(place.folder, "crane"));
    expect(await createLayoutStore(place.folder).blobSize("crane", layer.digest)).toBe(layer.size);
  });

  it("pushes an image that the store reads and builds on", async () => {
    const layer = path.join(place.folder, "crane.tar");
    await writeFile(layer, await tar("ID=test\n"));
    await crane("append", "--oci-empty-base", "-f", layer, "-t", at("raw"));
    await crane("mutate", "--user=10001:10001", "--entrypoint=/x", "--workdir=/srv", "--env=A=b", "-t", at("one"), at("raw"));
    await readForeign("one", (await crane("digest", at("one"))).trim());
    const refused = { code: "UNAVAILABLE", hint: expect.stringMatching(/config with user/) as string };
    await expect(store.getImage(name.replace("-tenant", ""), "raw")).rejects.toMatchObject(refused);
  });

  it("reads an artifact's manifest and its list under the fallback tag", async () => {
    const { image } = await pushOurs();
    const subject = image.manifest.descriptor.digest;
    const artifact = await store.attach(name, subject, { artifactType: "application/vnd.example.signature", layers: [await codeOf()] });
    const list = JSON.parse(await crane("manifest", at(subject.replace(":", "-")))) as { manifests: unknown[] };
    expect(list.manifests).toEqual([{ ...artifact, artifactType: "application/vnd.example.signature" }]);
    expect(JSON.parse(await crane("manifest", at("one").replace(":one", `@${artifact.digest}`)))).toMatchObject({
      subject: { digest: subject },
    });
  });
});
