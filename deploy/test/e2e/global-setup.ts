// One real platform for the whole suite, in a state folder and on a port of its own, started the way a user starts it.
import { rm } from "node:fs/promises";
import type { TestProject } from "vitest/node";
import { newPlatform, start, stop, type PlatformAccess } from "./platform.ts";

declare module "vitest" {
  export interface ProvidedContext {
    platform: PlatformAccess;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const platform = await newPlatform();
  await start(platform);
  project.provide("platform", platform);
  return async () => {
    await stop(platform);
    await rm(platform.stateDir, { recursive: true, force: true });
  };
}
