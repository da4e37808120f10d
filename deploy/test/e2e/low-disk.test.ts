// A disk that is nearly full: deploys are refused with an error code, deployed functions still answer, and deploys work again when there is
// room.
import { execFileSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createApiClient, tokenIn, type ApiClient } from "../src/api-client.ts";
import { newPlatform, start, stop, type PlatformAccess } from "./platform.ts";

const GIB = 1024 ** 3;
let platform: PlatformAccess;
let client: ApiClient;
let ballast: string;

beforeAll(async () => {
  const { bavail, bsize } = statfsSync(os.tmpdir());
  const leastMib = Math.floor((bavail * bsize - 3 * GIB) / 1024 ** 2);
  platform = await newPlatform("full", { FNCTL_MIN_FREE_MIB: String(leastMib) });
  ballast = path.join(os.tmpdir(), `${path.basename(platform.stateDir)}-ballast`); // on the same disk
  await start(platform);
  client = createApiClient({ url: platform.url, tenant: "full", token: () => tokenIn(platform.config) });
});
afterAll(async () => {
  await rm(ballast, { force: true });
  await stop(platform);
  await rm(platform.stateDir, { recursive: true });
});

const source = (text: string) => ({ "index.js": `export default { fetch: () => new Response(${JSON.stringify(text)}) };` });

test("deploys are refused with STORAGE_LOW, warm and cold requests are served, and it ends by itself", async () => {
  expect((await client.deploy("first", source("one"))).state).toBe("succeeded");
  execFileSync("fallocate", ["-l", String(6 * GIB), ballast]);
  const refusal = () => client.deploy("first", source("two")).then(({ state }) => state, String);
  await new Promise((resolve) => setTimeout(resolve, 1_500)); // the platform remembers the disk's state for a second
  expect(await refusal()).toMatch(/507 .*STORAGE_LOW.*request/);
  expect(await (await client.call("first")).text()).toBe("one");
  expect((await client.api("DELETE", "/v1/functions/unknown")).status).toBe(404); // requests that free space are accepted
  await rm(ballast);
  await expect.poll(refusal, { timeout: 20_000 }).toBe("succeeded");
  expect(await (await client.call("first")).text()).toBe("two");
});
