// The registry store runs the suite of all image stores against the cluster's real registry, and foreign tools judge what it pushed.
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { expect, inject, test } from "vitest";
import { createLayoutStore } from "@fnctl/control-plane/images/layout-store";
import { MEDIA, baseImage } from "@fnctl/control-plane/images/oci";
import { createRegistryStore } from "@fnctl/control-plane/images/registry/store";
import { describeStore } from "@fnctl/control-plane/images/store-conformance";
import { run } from "./cluster.ts";

const open = (prefix: string, spoolDir: string) => createRegistryStore({ url: `http://${inject("cluster").registry}/${prefix}`, spoolDir });

describeStore("registry", async () => {
  const spoolDir = await mkdtemp(path.join(tmpdir(), "fnctl-spool-"));
  const prefix = `test/${randomUUID()}`;
  const reopen = () => open(prefix, spoolDir);
  return { store: reopen(), reopen, close: () => rm(spoolDir, { recursive: true, force: true }) };
});

test("crane reads and validates what was pushed", async () => {
  const cluster = inject("cluster");
  const spoolDir = await mkdtemp(path.join(tmpdir(), "fnctl-spool-"));
  const prefix = `test/${randomUUID()}`;
  const store = open(prefix, spoolDir);
  // An empty tar: two blocks of zeros and padding to the usual record.
  const layer = await store.putBlob("base", MEDIA.layer, Readable.from([Buffer.alloc(10_240)]));
  const image = baseImage({ layer, process: { args: ["/x"], env: [`A=${randomBytes(4).toString("hex")}`], cwd: "/" } });
  await store.putImage("base", "one", image);
  const reference = `${cluster.registry}/${prefix}/base:one`;
  expect((await run(cluster, "crane", ["digest", "--insecure", reference])).trim()).toBe(image.manifest.descriptor.digest);
  // Without --fast it takes every layer for compressed, whatever its media type says.
  expect(await run(cluster, "crane", ["validate", "--fast", "--insecure", "--remote", reference])).toMatch(/PASS/);
  await run(cluster, "crane", ["pull", "--insecure", "--format=oci", reference, path.join(spoolDir, "pulled")]);
  const pulled = createLayoutStore(path.join(spoolDir));
  expect(await pulled.blobSize("pulled", layer.digest)).toBe(layer.size);
  await rm(spoolDir, { recursive: true, force: true });
});
