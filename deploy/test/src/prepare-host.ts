// Prepares what tests of single parts need on this machine, in the same way as `npm run up`: runsc, root file systems, Postgres, users.
import { mkdir } from "node:fs/promises";
import { ROOTFS_NAMES, prepareRootfs } from "@fnctl/runtime-images/base/prepare";
import { installPostgres } from "../../single/src/postgres.ts";
import { createProgress } from "../../single/src/progress.ts";
import { ensureRunsc } from "../../single/src/runsc.ts";
import { readSettings } from "../../single/src/settings.ts";
import { ensureUsers } from "../../single/src/users.ts";

const progress = createProgress(process.stderr);
const { cacheDir } = readSettings(process.env);
await mkdir(cacheDir, { recursive: true, mode: 0o755 });
await progress.step("users", () => ensureUsers());
await progress.step("gVisor", (say) => ensureRunsc(cacheDir, say));
await progress.step("root file systems", async (say) => {
  for (const name of ROOTFS_NAMES) await prepareRootfs(name, { cacheDir, progress: say });
});
await progress.step("Postgres", () => installPostgres(cacheDir));
