// One real platform for the whole suite, with its own state folder and port, started the way a user starts it.
import { rm } from "node:fs/promises";
import type { TestProject } from "vitest/node";
import { startOutside } from "./outside.ts";
import { newPlatform, start, stop, type PlatformAccess } from "./platform.ts";

declare module "vitest" {
  export interface ProvidedContext {
    platform: PlatformAccess;
    outside: { ca: string };
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const outside = await startOutside();
  const platform = await newPlatform("acme", outside.env);
  await start(platform);
  project.provide("platform", platform);
  project.provide("outside", { ca: outside.ca });
  return async () => {
    await stop(platform);
    await outside.close();
    await rm(platform.stateDir, { recursive: true, force: true });
  };
}
