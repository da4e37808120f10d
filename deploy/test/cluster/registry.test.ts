// The registry store runs the suite of all image stores against the registry that the cluster's nodes pull from; deploy/test/registry has
// the other tests.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { inject } from "vitest";
import { createRegistryStore } from "@fnctl/control-plane/images/registry/store";
import { describeStore } from "@fnctl/control-plane/images/store-conformance";

const open = (prefix: string, spoolDir: string) => createRegistryStore({ url: `http://${inject("cluster").registry}/${prefix}`, spoolDir });

describeStore("registry", async () => {
  const spoolDir = await mkdtemp(path.join(tmpdir(), "fnctl-spool-"));
  const prefix = `test/${randomUUID()}`;
  const reopen = () => open(prefix, spoolDir);
  return { store: reopen(), reopen, close: () => rm(spoolDir, { recursive: true, force: true }) };
});
