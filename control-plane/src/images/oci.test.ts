// Our images are tested here for reproducibility, and by third-party tools for validity (OCI image-spec 1.1).
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { canonicalLayer } from "./layer.ts";
import { createLayoutStore } from "./layout-store.ts";
import { MEDIA, baseImage, versionImage } from "./oci.ts";
import { archive, entry, file, folder, pax } from "./testing/archives.ts";

const run = promisify(execFile);
const tenant = randomUUID();
const REF = "hello-v1";
const LONG = `function/code/${"long".repeat(40)}/日本語.txt`;
let root: string;

/** Builds base and version into a fresh store, as the build worker does. */
async function makeImage(images: string, text = "data") {
  const store = createLayoutStore(images);
  const base = await store.putBlob("base", MEDIA.layer, archive(folder("etc"), file("etc/os-release", "ID=debian\n")));
  const process = { args: ["/usr/bin/node", "/opt/main.js"], env: ["PATH=/usr/bin"], cwd: "/function" };
  await store.putImage("base", "node24", baseImage({ layer: base, process }));
  const source = archive(
    folder("function"),
    folder("function/code"),
    entry({ name: "function/code/index.js", content: text, mode: 0o755 }),
    pax("x", { path: `${path.dirname(LONG)}/` }),
    folder("x"),
    pax("x", { path: LONG }),
    file("x"),
  );
  const code = await store.putBlob(tenant, MEDIA.layer, canonicalLayer(source, await mkdtemp(path.join(root, "unpacked-"))));
  const known = await store.getImage("base", "node24");
  for (const layer of known.manifest.layers) await store.mountBlob("base", tenant, layer.digest);
  await store.putImage(tenant, REF, versionImage(known, code, { "dev.fnctl.runtime": "node24" }));
  return store;
}

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "fn-oci-"));
  await makeImage(path.join(root, "one"));
});
afterAll(() => rm(root, { recursive: true, force: true }));
const layout = () => path.join(root, "one", tenant);

describe("an image", () => {
  test("has the same digest when it is made again from the same input, and another for another input", async () => {
    const digestIn = async (name: string, text?: string) =>
      (await (await makeImage(path.join(root, name), text)).getImage(tenant, REF)).digest;
    const first = (await createLayoutStore(path.join(root, "one")).getImage(tenant, REF)).digest;
    expect(await digestIn("two")).toBe(first);
    expect(await digestIn("three", "other")).not.toBe(first);
  });

  test("is a layout whose every blob has the digest it is named by", async () => {
    expect(JSON.parse(await readFile(path.join(layout(), "oci-layout"), "utf8"))).toEqual({ imageLayoutVersion: "1.0.0" });
    const blobs = path.join(layout(), "blobs/sha256");
    const names = await readdir(blobs);
    expect(names).toHaveLength(4); // manifest, config, base layer, code layer
    for (const name of names)
      expect(
        createHash("sha256")
          .update(await readFile(path.join(blobs, name)))
          .digest("hex"),
      ).toBe(name);
  });

  test.each(["manifest", "config"] as const)("whose stored %s was changed is refused", async (which) => {
    const store = await makeImage(path.join(root, which));
    const { digest, manifest } = await store.getImage(tenant, REF);
    const changed = which === "manifest" ? digest : manifest.config.digest;
    const blob = path.join(root, which, tenant, "blobs/sha256", changed.slice("sha256:".length));
    await writeFile(blob, (await readFile(blob, "utf8")).replace("linux", "LINUX").replace('"schemaVersion":2', '"schemaVersion": 2'));
    await expect(store.getImage(tenant, REF)).rejects.toMatchObject({ code: "INTERNAL" });
  });

  test("many images put at once are all in the index", async () => {
    const store = createLayoutStore(path.join(root, "one"));
    const { config, manifest } = baseImage({
      layer: (await store.getImage("base", "node24")).manifest.layers[0]!,
      process: { args: [], env: [], cwd: "/" },
    });
    const names = Array.from({ length: 20 }, (_, index) => `many-${index}`);
    await Promise.all(names.map((name) => store.putImage("many", name, { config, manifest })));
    await Promise.all(names.slice(1).map((name) => store.removeReference("many", name)));
    const index = JSON.parse(await readFile(path.join(root, "one/many/index.json"), "utf8")) as { manifests: unknown[] };
    expect(index.manifests).toHaveLength(1);
  });
});

const missing = (tool: string) => {
  const found = (process.env["PATH"] ?? "").split(":").some((dir) => existsSync(path.join(dir, tool)));
  if (!found) console.warn(`Tests with ${tool} are skipped: there is no ${tool} on PATH (Debian package ${tool}).`);
  return !found;
};

describe.skipIf(missing("skopeo"))("skopeo", () => {
  test("inspects the image in its layout", async () => {
    const { stdout } = await run("skopeo", ["inspect", `oci:${layout()}:${REF}`]);
    const facts = JSON.parse(stdout) as { Digest: string; Labels: unknown; Layers: string[]; Os: string };
    const own = await createLayoutStore(path.join(root, "one")).getImage(tenant, REF);
    expect(facts).toMatchObject({ Digest: own.digest, Labels: { "dev.fnctl.runtime": "node24" }, Os: "linux" });
    expect(facts.Layers).toEqual(own.manifest.layers.map(({ digest }) => digest));
    const config = JSON.parse((await run("skopeo", ["inspect", "--config", `oci:${layout()}:${REF}`])).stdout) as {
      config: { User: string };
    };
    expect(config.config.User).toBe("10001:10001");
  });

  test("copies it out, checking every digest and diff_id on the way", async () => {
    const target = path.join(root, "copied");
    await run("skopeo", ["--insecure-policy", "copy", `oci:${layout()}:${REF}`, `dir:${target}`]);
    const own = await createLayoutStore(path.join(root, "one")).getImage(tenant, REF);
    const names = await readdir(target);
    for (const { digest } of [...own.manifest.layers, own.manifest.config]) expect(names).toContain(digest.slice("sha256:".length));
  });
});

describe.skipIf(missing("umoci"))("umoci", () => {
  test("unpacks it to a root file system that holds base and code", async () => {
    const bundle = path.join(root, "bundle");
    await run("umoci", ["unpack", ...(process.getuid?.() === 0 ? [] : ["--rootless"]), "--image", `${layout()}:${REF}`, bundle]);
    expect(await readFile(path.join(bundle, "rootfs/etc/os-release"), "utf8")).toBe("ID=debian\n");
    expect(await readFile(path.join(bundle, "rootfs/function/code/index.js"), "utf8")).toBe("data");
    expect(await readFile(path.join(bundle, "rootfs", LONG), "utf8")).toBe("x");
    const spec = JSON.parse(await readFile(path.join(bundle, "config.json"), "utf8")) as { process: { user: unknown; cwd: string } };
    expect(spec.process).toMatchObject({ user: { uid: 10001, gid: 10001 }, cwd: "/function" });
  });
});
