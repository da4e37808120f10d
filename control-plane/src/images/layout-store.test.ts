// The layout on disk runs the suite of all image stores.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createLayoutStore } from "./layout-store.ts";
import { describeStore } from "./store-conformance.ts";

describeStore("layout", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-layout-"));
  const reopen = () => createLayoutStore(folder);
  return { store: reopen(), reopen, close: () => rm(folder, { recursive: true, force: true }) };
});
