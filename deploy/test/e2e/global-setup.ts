// One real platform for the whole suite, with its own state folder and port, started the way a user starts it.
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
