// SECURITY I4 in a real browser: a page of one tenant reads no cookie of another tenant or of the API.
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, inject, test } from "vitest";
import { tokenIn } from "../src/api-client.ts";
import { fnctl } from "./cli.ts";
import { deployFixture, fixture } from "./fixture.ts";
import { newPlatform, start, stop, type PlatformAccess } from "./platform.ts";
import { createTenant } from "./tenants.ts";

const BROWSER = "/usr/bin/chromium";
const PAGE = { access: "public" };
let browser: Browser;
let context: BrowserContext;
let page: Page;

// Scripts for the page are given as text: this file is checked against Node's types, not a browser's.
/** The cookies that the page can see, or the name of the error if it may not read cookies. */
const visible = (): Promise<string> => page.evaluate("(() => { try { return document.cookie } catch (error) { return error.name } })()");
/** The cookies that the browser sent to the function with this page. */
const sent = (): Promise<string> => page.innerText("#sent");
const stored = async (): Promise<string[]> => (await context.cookies()).map(({ name, domain }) => `${name} ${domain}`);
/** The result of a fetch by a script of the page. */
const fetchFrom = (url: string): Promise<string> =>
  page.evaluate(`fetch(${JSON.stringify(url)}, { credentials: "include" }).then((answer) => answer.text(), (error) => error.name)`);

describe.skipIf(!existsSync(BROWSER))("in Chromium (skipped without Debian's chromium)", () => {
  beforeAll(async () => {
    // Names of the second platform lead to this machine; the tests run as root, where Chromium's own sandbox does not work.
    const rules = "MAP api.platform.test 127.0.0.1, MAP *.functions.test 127.0.0.1";
    browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox", `--host-resolver-rules=${rules}`] });
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    context = await browser.newContext();
    page = await context.newPage();
  });
  afterEach(() => context.close());

  describe("on loopback names", () => {
    const { port } = inject("platform");
    const host = (tenant: string) => `http://page--${tenant}.localhost:${port}`;
    const api = `http://localhost:${port}`;
    beforeAll(async () => {
      const rival = await createTenant("cookie-rival");
      await deployFixture("page", "page.js", PAGE);
      await deployFixture("page", "page.js", PAGE, rival.token);
    });

    test("a page keeps its own cookies", async () => {
      await page.goto(`${host("acme")}/set?name=own`);
      await page.goto(host("acme"));
      expect(await visible()).toBe("own-plain=1");
      expect(await sent()).toContain("own-hidden=1");
      expect(await page.title()).toBe("script ran");
    });

    test("and sees none of another tenant's, however widely it set them", async () => {
      await page.goto(`${host("cookie-rival")}/set?name=theirs`);
      expect(await stored()).toContain("theirs-plain page--cookie-rival.localhost");
      await page.goto(host("acme"));
      expect([await visible(), await sent()]).toEqual(["", ""]);
      expect(await fetchFrom(host("cookie-rival"))).toBe("TypeError"); // without CORS headers the page may not read the answer
    });

    test("and none of the API's, whose answers it cannot read either", async () => {
      await context.addCookies([{ name: "session", value: "api", url: api }]);
      await page.goto(host("acme"));
      expect([await visible(), await sent()]).toEqual(["", ""]);
      expect(await fetchFrom(`${api}/v1/healthz`)).toBe("TypeError");
    });
  });

  describe("on public names", () => {
    let platform: PlatformAccess;
    let api: string;
    beforeAll(async () => {
      const empty = await newPlatform();
      api = `http://api.platform.test:${empty.port}`;
      platform = { ...empty, env: { ...empty.env, FNCTL_PUBLIC_URL: api, FNCTL_DOMAIN: "functions.test" } };
      await start(platform);
      await deployPage(platform);
    });
    afterAll(async () => {
      await stop(platform);
      await rm(platform.stateDir, { recursive: true });
    });

    test("a path route, which shares its origin with the API, is sandboxed: no script, no origin, no cookie either way", async () => {
      await context.addCookies([{ name: "session", value: "api", url: api }]);
      const answer = await page.goto(`${api}/fn/acme/page/set?name=own`);
      const headers = await answer!.allHeaders();
      expect([headers["content-security-policy"], headers["set-cookie"]]).toEqual(["sandbox", undefined]);
      expect(await stored()).toEqual(["session api.platform.test"]);
      expect(await sent()).toBe("");
      expect(await page.title()).toBe("page"); // its script did not run
      expect(await page.evaluate("origin")).toBe("null");
      expect(await visible()).toBe("SecurityError");
    });

    test("a host route is a page like any other, on another registrable domain than the API", async () => {
      await context.addCookies([{ name: "session", value: "api", url: api }]);
      const own = `http://page--acme.functions.test:${platform.port}`;
      const answer = await page.goto(`${own}/set?name=own`);
      expect((await answer!.allHeaders())["content-security-policy"]).toBeUndefined();
      await page.goto(own);
      expect([await visible(), await page.title()]).toEqual(["own-plain=1", "script ran"]);
      expect(await fetchFrom(`${api}/v1/healthz`)).toBe("TypeError");
    });
  });
});

/** Deploys with the CLI. Only the browser resolves the platform's public name to this machine, so the CLI is given another address. */
async function deployPage({ config, url }: PlatformAccess): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "fnctl-e2e-page-"));
  writeFileSync(path.join(folder, "fnctl.yaml"), "name: page\nruntime: node24\naccess: public\n");
  writeFileSync(path.join(folder, "index.js"), fixture("page.js"));
  const result = await fnctl(["deploy"], { cwd: folder, env: { FNCTL_URL: url, FNCTL_TOKEN: tokenIn(config) } });
  await rm(folder, { recursive: true });
  if (result.code !== 0) throw new Error(result.stderr);
}
