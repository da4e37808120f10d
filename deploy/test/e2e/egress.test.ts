// What a function may reach: by name, for programs that know nothing of proxies, and nothing else (SECURITY B5, B6).
import { beforeAll, describe, expect, inject, test } from "vitest";
import { call, deploy } from "./api.ts";
import { fnctl } from "./cli.ts";
import { deployFixture, fixture } from "./fixture.ts";
import { openOutside } from "./tenants.ts";
import { until } from "./until.ts";

const { ca } = inject("outside");
const ALLOW = [
  "api.outside.test",
  { host: "api.outside.test", ports: [80] },
  "db.outside.test:5432",
  "*.wild.outside.test",
  ...["metadata", "private", "mixed", "loopback"].map((name) => `${name}.outside.test:80`),
];

beforeAll(() => openOutside(80, 443, 5432));

describe.each([
  ["Node", "reaches-node", "reaches.js"],
  ["Python", "reaches-python", "reaches.py"],
])("%s", (_language, name, file) => {
  const ask = async (by: string, host: string, port = ""): Promise<string> =>
    (await call(name, `/?${new URLSearchParams({ by, host, port }).toString()}`)).text();
  beforeAll(() => deployFixture(name, file, { egress: { allow: ALLOW }, env: { CA: ca } }));

  test("reaches allowed names on their ports, with whatever client", async () => {
    expect(await ask("https", "api.outside.test")).toBe("https api.outside.test /x");
    expect(await ask("https", "a.wild.outside.test")).toBe("https a.wild.outside.test /x");
    expect(await ask("fetch", "api.outside.test")).toBe("http api.outside.test /x");
    expect(await ask("sync", "api.outside.test")).toBe("http api.outside.test /x");
    expect(await ask("tcp", "db.outside.test", "5432")).toBe("ready\nand back\n");
    expect(await ask("lookup", "api.outside.test")).toMatch(/^127\.1\.\d+\.\d+$/);
  });

  test.each([
    ["https", "other.outside.test", ""],
    ["https", "a.b.wild.outside.test", ""],
    ["https", "wild.outside.test", ""],
    ["https", "evil-wild.outside.test", ""],
    ["tcp", "api.outside.test", "5432"],
    ["tcp", "127.77.0.1", "5432"],
    ["tcp", "169.254.169.254", "80"],
    ["fetch", "metadata.outside.test", ""],
    ["fetch", "private.outside.test", ""],
    ["fetch", "mixed.outside.test", ""],
    ["fetch", "loopback.outside.test", ""],
  ])("does not reach, by %s, %s %s", async (by, host, port) => expect(await ask(by, host, port)).toMatch(/^failed: /));

  test("is told in its log what was refused, and the rule that would allow it", async () => {
    await ask("https", "other.outside.test");
    await ask("fetch", "metadata.outside.test");
    const log = await until(
      async () => (await fnctl(["logs", name])).stdout,
      (text) => text.includes("metadata") && text.includes("other"),
    );
    expect(log).toContain(
      "egress: other.outside.test is not allowed. To allow it, add it to `egress.allow` in fnctl.yaml (`other.outside.test`, or with its port",
    );
    expect(log).toContain("egress: metadata.outside.test leads to an address that functions may not reach.");
  });
});

test("says what it may reach", async () => {
  const told = async (name: string) => /^reaches +(.*)$/m.exec((await fnctl(["describe", name])).stdout)?.[1];
  await deployFixture("reaches-told", "reaches.js", { egress: { allow: ALLOW.slice(0, 4) } });
  expect(await told("reaches-told")).toBe("api.outside.test, api.outside.test:80, db.outside.test:5432, *.wild.outside.test");
});

test("a function without rules reaches nothing, and another version's rules are its own", async () => {
  await deployFixture("reaches-nothing", "reaches.js", {});
  const ask = async (by = "fetch"): Promise<string> => (await call("reaches-nothing", `/?by=${by}&host=api.outside.test&port=80`)).text();
  expect(await ask()).toMatch(/^failed: /);
  expect(await ask("proxy")).toMatch(/^HTTP\/1.1 403 /);
  await deployFixture("reaches-nothing", "reaches.js", { egress: { allow: ["api.outside.test:80"] } });
  expect(await until(ask, (text) => text.startsWith("http"))).toBe("http api.outside.test /x");
});

describe("the tenant's own rules", () => {
  const ask = async (host: string, port = "80"): Promise<string> =>
    (await call("reaches-own", `/?${new URLSearchParams({ by: "fetch", host, port }).toString()}`)).text();
  const egress = (...args: string[]) => fnctl(["egress", ...args]);

  test("hold for instances that run, whatever their version says, and are told", async () => {
    await deployFixture("reaches-own", "reaches.js", {});
    const instance = async () => (await call("reaches-own", "/?by=instance")).text();
    const before = await instance();
    expect(await ask("api.outside.test")).toMatch(/^failed: /);
    expect((await egress("allow", "api.outside.test:80", "--function", "reaches-own")).stderr).toContain(
      "allowed api.outside.test:80 for reaches-own",
    );
    expect(
      await until(
        () => ask("api.outside.test"),
        (text) => text.startsWith("http"),
      ),
    ).toBe("http api.outside.test /x");
    expect(await instance()).toBe(before);
    expect((await egress("ls")).stdout).toMatch(/^allow +api\.outside\.test:80 +reaches-own /m);
    await egress("deny", "*.outside.test", "--function", "reaches-own");
    expect(
      await until(
        () => ask("api.outside.test"),
        (text) => text.startsWith("failed"),
      ),
    ).toMatch(/^failed: /);
    await egress("rm", "*.outside.test", "--function", "reaches-own");
    expect(
      await until(
        () => ask("api.outside.test"),
        (text) => text.startsWith("http"),
      ),
    ).toBe("http api.outside.test /x");
  });

  test("are suggested from what was refused, with the connections that there were", async () => {
    expect(await ask("suggested.outside.test")).toMatch(/^failed: /);
    const rule = await until(
      async () => (await egress("suggest", "reaches-own")).stdout,
      (text) => text.includes("suggested"),
    );
    expect(rule).toMatch(/^reaches-own +suggested\.outside\.test +\d+ /m);
    expect((await egress("log", "reaches-own")).stdout).toMatch(/api\.outside\.test:80 +127\.77\.0\.1 +\d+ B +\d+ B /);
    expect((await egress("suggest", "reaches-own", "--apply")).stderr).toContain("allowed suggested.outside.test for reaches-own");
    expect((await egress("allow", "https://a.example")).code).toBe(2);
    expect((await egress("rm", "a.example")).code).toBe(4);
  });
});

describe("a word that a refusal makes void", () => {
  const egress = async (...args: string[]) => (await fnctl(["egress", ...args])).stderr;
  beforeAll(async () => {
    await deployFixture("reaches-void", "reaches.js", {});
  });

  test("is told with the refusal and how to lift it", async () => {
    await egress("deny", "*.void.test");
    expect(await egress("allow", "a.void.test", "--function", "reaches-void")).toBe(
      "allowed a.void.test for reaches-void\n  but that has no effect: deny *.void.test for all functions goes before it. To lift it: fnctl egress rm '*.void.test'\n",
    );
    await egress("rm", "*.void.test");
    expect(await egress("allow", "a.void.test", "--function", "reaches-void")).toBe("allowed a.void.test for reaches-void\n");
  });

  test("is refused where it is about the same host, and the next command is the one that lifts that", async () => {
    await egress("deny", "b.void.test", "--function", "reaches-void");
    const refused = await egress("allow", "b.void.test:80", "--function", "reaches-void");
    expect(refused).toContain("error CONFLICT: b.void.test is denied on every port");
    expect(refused).toContain("next:    fnctl egress rm b.void.test --function reaches-void\n");
  });
});

test("`public` is every public name on the ports of the web", async () => {
  await deployFixture("reaches-all", "reaches.js", { egress: "public" });
  const ask = async (by: string, host: string, port = ""): Promise<string> =>
    (await call("reaches-all", `/?${new URLSearchParams({ by, host, port }).toString()}`)).text();
  expect(await ask("fetch", "any.outside.test")).toBe("http any.outside.test /x");
  expect(await ask("tcp", "any.outside.test", "5432")).toMatch(/^failed: /);
  expect(await ask("fetch", "private.outside.test")).toMatch(/^failed: /);
});

test("mistakes in rules are told at deploy", async () => {
  const end = deploy(
    "reaches-wrong",
    { "index.js": fixture("reaches.js") },
    { runtime: "node24", egress: { allow: ["https://a.example"] } },
  );
  await expect(end).rejects.toThrow(/egress/);
});
