// A function's life through the CLI: deploy, deploy again unchanged, roll back, list, remove.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { api, call } from "./api.ts";
import { fnctl } from "./cli.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "fnctl-e2e-life-"));
const write = (version: string) =>
  writeFileSync(
    path.join(folder, "index.js"),
    `const started = Date.now();\nexport default () => Response.json({ is: "${version}", started });\n`,
  );
const here = (args: string[]) => fnctl(args, { cwd: folder });
const serves = async () => ((await (await call("living")).json()) as { is: string }).is;

beforeAll(async () => {
  writeFileSync(path.join(folder, "fnctl.yaml"), "name: living\nruntime: node24\n");
  write("one");
  const first = await here(["deploy"]);
  if (first.code !== 0) throw new Error(first.stderr);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("deploy", () => {
  test("names its phases with their times, and prints nothing but the address on stdout", async () => {
    write("two");
    const result = await here(["deploy"]);
    expect(result.stdout).toMatch(/^http:\/\/living--acme\.localhost:\d+\/?\n$/);
    for (const phase of ["validate", "upload", "build", "publish", "rollout", "ready"])
      expect(result.stderr).toMatch(new RegExp(`${phase}.*\\d+(\\.\\d+)? ?m?s`));
    expect(await serves()).toBe("two");
  });

  test("of what is there already skips the upload and gives the same image", async () => {
    const imageOf = async () =>
      ((await (await api("GET", "/v1/functions/living")).json()) as { live: { imageDigest: string } }).live.imageDigest;
    const before = await imageOf();
    const again = await here(["deploy"]);
    expect(again.code).toBe(0);
    expect(again.stderr).toMatch(/upload.*unchanged/);
    expect(await imageOf()).toBe(before);
  });

  test("--no-promote builds and does not serve; --json streams documents", async () => {
    write("four");
    const result = await here(["deploy", "--no-promote", "--json"]);
    expect(result.code).toBe(0);
    const documents = result.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; live?: boolean; version?: number });
    expect(documents.at(-1)).toMatchObject({ type: "result", live: false, version: 4 });
    expect(await serves()).toBe("two");
  });

  test("--dry-run sends nothing", async () => {
    const before = await here(["versions"]);
    expect((await here(["deploy", "--dry-run"])).code).toBe(0);
    expect((await here(["versions"])).stdout).toBe(before.stdout);
  });
});

describe("rollback", () => {
  test("to a named version and back; the change is served at once, with no request lost", async () => {
    let running = true;
    const bad: number[] = [];
    const load = (async () => {
      while (running) {
        const answer = await call("living");
        if (!answer.ok) bad.push(answer.status);
        await answer.arrayBuffer();
      }
    })();
    for (const [number, is] of [
      [1, "one"],
      [4, "four"],
      [2, "two"],
    ] as const) {
      expect((await here(["rollback", "living", String(number), "--yes"])).code).toBe(0);
      expect(await serves()).toBe(is);
    }
    running = false;
    await load;
    expect(bad).toEqual([]);
  });

  test("is done when it is answered: the very next request is served by that version", async () => {
    for (let turn = 0; turn < 10; turn++) {
      for (const [version, is] of [
        [4, "four"],
        [2, "two"],
      ] as const) {
        // prettier-ignore
        expect((await api("PUT", "/v1/functions/living/aliases/live", { body: { version } })).status).toBe(200);
        expect(await serves()).toBe(is);
      }
    }
  });

  test("without a number goes to the version before", async () => {
    expect((await here(["rollback", "living", "--yes"])).code).toBe(0);
    expect(await serves()).toBe("one");
  });

  test("to a version that is not there, or failed, changes nothing", async () => {
    expect((await here(["rollback", "living", "99", "--yes"])).code).toBe(4);
    writeFileSync(path.join(folder, "index.js"), "export default (");
    expect((await here(["deploy"])).code).toBe(6);
    const failed = await here(["rollback", "living", "5", "--yes"]);
    expect(failed.code).not.toBe(0);
    expect(failed.stderr).toMatch(/next: {4}fnctl versions/);
    expect(await serves()).toBe("one");
  });

  test("is refused when someone else changed the function meanwhile (If-Match)", async () => {
    const { etag } = (await (await api("GET", "/v1/functions/living")).json()) as { etag: string };
    const put = (version: number) => api("PUT", "/v1/functions/living/aliases/live", { body: { version }, headers: { "if-match": etag } });
    expect((await put(2)).status).toBe(200);
    expect((await put(1)).status).toBe(412);
    expect(await serves()).toBe("two");
  });
});

describe("looking", () => {
  test("ls, versions and describe show it", async () => {
    expect((await here(["ls"])).stdout).toMatch(/living.*v?2/);
    const versions = (await here(["versions"])).stdout;
    expect(versions).toMatch(/5.*failed/);
    expect(versions).toMatch(/2.*live|live.*2/i);
    expect((await here(["describe"])).stdout).toMatch(/live\s+v2/);
  });
});

describe("rm", () => {
  test("needs a yes, then takes function, address and instances away", async () => {
    expect((await here(["rm", "living"])).code).toBe(2);
    expect(await serves()).toBe("two");
    expect((await here(["rm", "living", "--yes"])).code).toBe(0);
    await expect.poll(async () => (await call("living")).status).toBe(404);
    expect((await here(["describe", "living"])).code).toBe(4);
    expect((await api("GET", "/v1/functions/living")).status).toBe(404);
    expect((await here(["rm", "living", "--yes"])).code).toBe(4);
  });

  test("leaves the name free: the next one begins at version 1", async () => {
    write("new");
    expect((await here(["deploy"])).code).toBe(0);
    expect(await serves()).toBe("new");
    expect(((await (await api("GET", "/v1/functions/living")).json()) as { liveVersion: number }).liveVersion).toBe(1);
  });
});
