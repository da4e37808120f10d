// Client libraries of both languages, unchanged, against real servers under made-up names, through the egress proxy. For every driver.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openOutside, type Place } from "./place.ts";
import { startServers, type Servers } from "./servers.ts";

const ANSWERS: Record<string, string> = {
  fetch: "http api.outside.test /x",
  ...Object.fromEntries(["pg", "websocket", "ioredis", "mysql2", "grpc", "psycopg", "asyncpg", "redis"].map((library) => [library, "42"])),
  http2: "h2 api.outside.test:443 /x",
  s3: "a-bucket",
  boto3: "a-bucket",
};

/** `clients`: the addresses from which the platform's egress proxy comes (CIDR). */
export function libraryCases(place: () => Place, clients: string): void {
  let servers: Servers | string = "they were not started";
  let pgPort = 0;
  beforeAll(async () => {
    servers = await startServers(place().outside.address, clients);
    if (typeof servers === "string") return;
    ({ pgPort } = servers);
    await openOutside(place(), 80, 443, 3306, 5432, 6379, 50_051, pgPort);
  }, 120_000);
  afterAll(async () => {
    if (typeof servers !== "string") await servers.close();
  });

  const NAMES = ["api.outside.test", "api.outside.test:80", "s3.outside.test", "redis.outside.test:6379", "maria.outside.test:3306"];
  async function deployed(language: string, runtime: string): Promise<void> {
    const folder = path.resolve(import.meta.dirname, "../fixtures/libraries", language);
    const files = Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(path.join(folder, file), "utf8")]));
    const allow = [...NAMES, "grpc.outside.test:50051", `pg.outside.test:${pgPort}`];
    const env = { CA: place().outside.ca, PG_PORT: String(pgPort) };
    const { state, problem, log } = await place().deploy(`libraries-${language}`, files, {
      runtime,
      egress: { allow },
      env,
      memoryMib: 512,
    });
    expect(state, `${JSON.stringify(problem)}\n${log}`).toBe("succeeded");
  }

  describe.each([
    ["node", "node24", ["fetch", "undici", "axios", "got", "http2", "websocket", "pg", "ioredis", "mysql2", "grpc", "s3"]],
    ["python", "python3.13", ["requests", "httpx", "aiohttp", "urllib3", "psycopg", "asyncpg", "redis", "boto3"]],
  ])("%s", (language, runtime, libraries) => {
    beforeAll(async () => {
      if (typeof servers !== "string") await deployed(language, runtime);
    }, 180_000);
    test.for(libraries)("%s", async (library, context) => {
      if (typeof servers === "string") return context.skip(servers);
      const text = await (await place().call(`libraries-${language}`, `/?by=${library}`)).text();
      expect(text).toBe(ANSWERS[library] ?? "https api.outside.test /x");
    });
  });
}
