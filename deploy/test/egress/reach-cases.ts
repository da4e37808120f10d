// What a function may reach: by name, for programs that know nothing of proxies, and nothing else (SECURITY B5, B6). For every driver.
import { beforeAll, describe, expect, test } from "vitest";
import { until } from "../e2e/until.ts";
import { deployFixtureTo, fixture, openOutside, type Place } from "./place.ts";

const ALLOW = [
  "api.outside.test",
  { host: "api.outside.test", ports: [80] },
  "db.outside.test:5432",
  "*.wild.outside.test",
  ...["metadata", "private", "mixed", "loopback"].map((name) => `${name}.outside.test:80`),
];

export function reachCases(place: () => Place): void {
  beforeAll(() => openOutside(place(), 80, 443, 5432));

  describe.each([
    ["Node", "reaches-node", "reaches.js"],
    ["Python", "reaches-python", "reaches.py"],
  ])("%s", (_language, name, file) => {
    const ask = async (by: string, host: string, port = ""): Promise<string> =>
      (await place().call(name, `/?${new URLSearchParams({ by, host, port }).toString()}`)).text();
    beforeAll(() => deployFixtureTo(place(), name, file, { egress: { allow: ALLOW }, env: { CA: place().outside.ca } }));

    test("reaches allowed names on their ports, with whatever client", async () => {
      expect(await ask("https", "api.outside.test")).toBe("https api.outside.test /x");
      expect(await ask("https", "a.wild.outside.test")).toBe("https a.wild.outside.test /x");
      expect(await ask("fetch", "api.outside.test")).toBe("http api.outside.test /x");
      expect(await ask("sync", "api.outside.test")).toBe("http api.outside.test /x");
      expect(await ask("tcp", "db.outside.test", "5432")).toBe("ready\nand back\n");
      expect(await ask("variables", "api.outside.test")).toMatch(/^http api.outside.test(:80)? \/x$/);
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
      ["variables", "private.outside.test", ""],
      ["variables", "api.outside.test", "5432"],
    ])("does not reach, by %s, %s %s", async (by, host, port) => expect(await ask(by, host, port)).toMatch(/^failed: /));

    test("is told so with the request that it was refused to, also when its handler kept the whole process waiting", async () => {
      for (const by of ["https", "sync"]) {
        const [host, id] = [`told-${by}.outside.test`, `refused-${by}-1`];
        await place().call(name, `/?${new URLSearchParams({ by, host }).toString()}`, { headers: { "x-request-id": id } });
        const told = await until(
          async () => (await place().fnctl(["logs", name, "--request-id", id])).stdout,
          (text) => text.includes(host),
        );
        expect(told).toMatch(new RegExp(`egress: ${host}(:80)? is not allowed\\.`));
      }
    });

    test("is told in its log what was refused, and the rule that would allow it", async () => {
      await ask("https", "other.outside.test");
      await ask("fetch", "metadata.outside.test");
      const log = await until(
        async () => (await place().fnctl(["logs", name])).stdout,
        (text) => text.includes("metadata") && text.includes("other"),
      );
      expect(log).toContain(
        "egress: other.outside.test is not allowed. To allow it, add it to `egress.allow` in fnctl.yaml (`other.outside.test`, or with its port",
      );
      expect(log).toContain("egress: metadata.outside.test leads to an address that functions may not reach.");
    });
  });

  test("a proxy's client is served in plain HTTP, and its refusals are told in the log", async () => {
    await deployFixtureTo(place(), "reaches-plain", "reaches.js", {
      egress: { allow: ["api.outside.test:80", `${place().outside.address.replace(/\d+$/, "0")}/24:80`] },
    });
    const ask = async (host: string) => (await place().call("reaches-plain", `/?by=absolute&host=${host}`)).text();
    expect(await ask("api.outside.test")).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*http api.outside.test \/x/);
    expect(await ask(place().outside.address)).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*http [\d.]+ \/x/); // an address, as a proxy is asked for it
    expect(await ask("127.77.1.1")).toMatch(/^HTTP\/1.1 403 [^]*fnctl egress allow 127.77.1.1:80/);
    expect(await ask("plain.outside.test")).toMatch(/^HTTP\/1.1 403 [^]*fnctl egress allow plain.outside.test:80/);
    const log = await until(
      async () => (await place().fnctl(["logs", "reaches-plain"])).stdout,
      (text) => text.includes("plain.outside.test"),
    );
    expect(log).toContain("egress: plain.outside.test:80 is not allowed. To allow it, add it to");
  });

  test("SRV records of an allowed name are told, but for servers inside, and allow nothing that they name", async () => {
    await openOutside(place(), 80, 443, 5432, 27_017);
    await deployFixtureTo(place(), "reaches-srv", "reaches.js", {
      egress: { allow: ["db.outside.test:27017", "shard0.outside.test:27017"] },
    });
    const ask = async (by: string, host: string) => (await place().call("reaches-srv", `/?by=${by}&host=${host}`)).text();
    const shards = (await ask("srv", "_mongodb._tcp.db.outside.test")).split(",");
    // The first one leads inside, and a rule names it; the last one leads inside; all others are public.
    expect(shards.toSorted()).toEqual(Array.from({ length: 14 }, (_, i) => `shard${i}.outside.test:27017`).toSorted());
    expect(await ask("lookup", "shard1.outside.test")).toBe("failed: ENOTFOUND");
    expect(await ask("srv", "_mongodb._tcp.other.outside.test")).toBe("failed: ENOTFOUND");
  });

  test("says what it may reach", async () => {
    const told = async (name: string) => /^reaches +(.*)$/m.exec((await place().fnctl(["describe", name])).stdout)?.[1];
    await deployFixtureTo(place(), "reaches-told", "reaches.js", { egress: { allow: ALLOW.slice(0, 4) } });
    expect(await told("reaches-told")).toBe("api.outside.test, api.outside.test:80, db.outside.test:5432, *.wild.outside.test");
  });

  test("a function without rules reaches nothing, and another version's rules are its own", async () => {
    await deployFixtureTo(place(), "reaches-nothing", "reaches.js", {});
    const ask = async (by = "fetch"): Promise<string> =>
      (await place().call("reaches-nothing", `/?by=${by}&host=api.outside.test&port=80`)).text();
    expect(await ask()).toMatch(/^failed: /);
    expect(await ask("proxy")).toMatch(/^HTTP\/1.1 403 /);
    await deployFixtureTo(place(), "reaches-nothing", "reaches.js", { egress: { allow: ["api.outside.test:80"] } });
    expect(await until(ask, (text) => text.startsWith("http"))).toBe("http api.outside.test /x");
  });

  describe("the tenant's own rules", () => {
    const ask = async (host: string, port = "80"): Promise<string> =>
      (await place().call("reaches-own", `/?${new URLSearchParams({ by: "fetch", host, port }).toString()}`)).text();
    const egress = (...args: string[]) => place().fnctl(["egress", ...args]);

    test("hold for instances that run, whatever their version says, and are told", async () => {
      await deployFixtureTo(place(), "reaches-own", "reaches.js", { max: 1 }); // whichever gateway is asked
      const instance = async () => (await place().call("reaches-own", "/?by=instance")).text();
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
      expect((await egress("log", "reaches-own")).stdout).toMatch(/api\.outside\.test:80 +\S+ +\d+ B +\d+ B /);
      expect((await egress("suggest", "reaches-own", "--apply")).stderr).toContain("allowed suggested.outside.test for reaches-own");
      expect((await egress("allow", "https://a.example")).code).toBe(2);
      expect((await egress("rm", "a.example")).code).toBe(4);
    });
  });

  test("what was moved is told by days", async () => {
    const told = await until(
      async () => (await place().fnctl(["egress", "usage", "reaches-node"])).stdout,
      (text) => text.includes("reaches-node"),
      30_000, // it is reported every ten seconds
    );
    expect(told).toMatch(/^DAY +FUNCTION +CONNECTIONS +UP +DOWN +OPEN\n\d{4}-\d\d-\d\d +reaches-node +[1-9]\d* +[1-9]/);
    expect((await place().fnctl(["egress", "usage", "--days", "36"])).stderr).toContain("--days is from 1 to 35");
  });

  describe("a word that a refusal makes void", () => {
    const egress = async (...args: string[]) => (await place().fnctl(["egress", ...args])).stderr;
    beforeAll(async () => {
      await deployFixtureTo(place(), "reaches-void", "reaches.js", {});
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

  test("`public` is nothing private, even where the operator opened it; a rule beside it that names it is", async () => {
    await deployFixtureTo(place(), "reaches-all", "reaches.js", { egress: "public" });
    const ask = async (by: string, host: string, port = ""): Promise<string> =>
      (await place().call("reaches-all", `/?${new URLSearchParams({ by, host, port }).toString()}`)).text();
    expect(await ask("lookup", "any.outside.test")).toMatch(/^127\.1\.\d+\.\d+$/);
    expect(await ask("fetch", "any.outside.test")).toMatch(/^failed: /);
    expect(await ask("tcp", "any.outside.test", "5432")).toMatch(/^failed: /);
    await place().fnctl(["egress", "allow", "any.outside.test:80", "--function", "reaches-all"]);
    expect(
      await until(
        () => ask("fetch", "any.outside.test"),
        (text) => text.startsWith("http"),
      ),
    ).toBe("http any.outside.test /x");
    expect(await ask("fetch", "private.outside.test")).toMatch(/^failed: /);
  });

  test("mistakes in rules are told at deploy", async () => {
    const end = place().deploy(
      "reaches-wrong",
      { "index.js": fixture("reaches.js") },
      { runtime: "node24", egress: { allow: ["https://a.example"] } },
    );
    await expect(end).rejects.toThrow(/egress/);
  });
}
