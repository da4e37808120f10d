// One real platform for the whole suite, with its own state folder and port, started the way a user starts it.
import { rm } from "node:fs/promises";
import type { TestProject } from "vitest/node";
import { startOutside, type Outside } from "../egress/outside.ts";
import { newPlatform, start, stop, type PlatformAccess } from "./platform.ts";

declare module "vitest" {
  export interface ProvidedContext {
    platform: PlatformAccess;
    outside: Pick<Outside, "address" | "ca">;
  }
}

/** Stands for the outside; the platform under test may reach it, and no other address of its own machine. */
const ADDRESS = "127.77.0.1";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const outside = await startOutside(ADDRESS);
  const platform = await newPlatform("acme", { FNCTL_EGRESS_DNS: outside.dns, FNCTL_EGRESS_FUNCTION_PRIVATE: `${ADDRESS}/32` });
  await start(platform);
  project.provide("platform", platform);
  project.provide("outside", { address: ADDRESS, ca: outside.ca });
  return async () => {
    await stop(platform);
    await outside.close();
    await rm(platform.stateDir, { recursive: true, force: true });
  };
}
