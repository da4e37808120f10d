// Checks what the platform relies on in every root file system that sandboxes use.
import { lstat, readdir } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { SANDBOX_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { cacheDir } from "./find-runsc.ts";
import { ROOTFS_NAMES, prepareRootfs } from "./prepare.ts";

test.each(ROOTFS_NAMES)("%s: only root may enter the folder of a container's last words, and nothing is in it", async (name) => {
  const { rootfs } = await prepareRootfs(name, { cacheDir: cacheDir() });
  const folder = path.join(rootfs, path.dirname(SANDBOX_PATHS.lastWords));
  const { mode, uid, gid } = await lstat(folder);
  expect([mode & 0o7777, uid, gid]).toEqual([0o700, 0, 0]);
  expect(await readdir(folder)).toEqual([]);
});
