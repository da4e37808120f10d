// Real builds of Node functions in real sandboxes from the real registries, and the built layers run by the real bootstrap.
import { expect, test } from "vitest";
import tar from "tar-stream";
import type { BuilderEvent } from "@fnctl/control-plane/contract/runtime-protocol";
import { build, lockNpm, packSource } from "./builder-client.ts";
import { binary, entries, run, suite } from "./builder-harness.ts";
import { call, eventually, records } from "./client.ts";

const honoApp = {
  "package.json": '{"name":"x","dependencies":{"hono":"4.13.19"}}',
  "src/index.ts":
    'import { Hono } from "hono";\nimport { greeting } from "./lib/greeting.ts";\nconst app = new Hono();\napp.get("/", (c) => c.text(greeting()));\napp.get("/boom", () => { throw new TypeError("typed"); });\napp.onError((error) => { console.error(error); return new Response("sorry", { status: 500 }); });\nexport default app;\n',
  "src/lib/greeting.ts":
    'import { readFileSync } from "node:fs";\nimport { join } from "node:path";\nexport const greeting = (): string => readFileSync(new URL("./data.txt", import.meta.url), "utf8") + readFileSync(join(import.meta.dirname, "data.txt"), "utf8");\n',
  "src/lib/data.txt": "hi",
  ".npmrc": "//registry.example/:_authToken=secret\n",
};

suite("builder: Node", () => {
  test("a Hono app in TypeScript: bundled, reads files beside its modules, stack traces name the source; the same bytes twice", async () => {
    const archive = await packSource(honoApp, lockNpm);
    const [first, second] = [await build(binary, archive, { runtime: "node24" }), await build(binary, archive, { runtime: "node24" })];
    expect(first.layer?.equals(second.layer as Buffer)).toBe(true);
    const listed = await entries(first.layer as Buffer);
    expect(listed.map((entry) => entry.name)).toEqual(
      listed.map((entry) => entry.name).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    );
    expect(new Set(listed.map((entry) => entry.facts))).toEqual(new Set(["0 0 0 "]));
    expect(new Set(listed.map((entry) => `${entry.type} ${entry.mode.toString(8)}`))).toEqual(new Set(["directory 755", "file 644"]));
    expect(listed.every((entry) => entry.name === "function" || `${entry.name}/`.startsWith("function/code/"))).toBe(true);
    expect(listed.some((entry) => /node_modules|npmrc/.test(entry.name))).toBe(false);
    await run(first, "node24", async (sandbox) => {
      expect((await call(sandbox.socket, "/")).text).toBe("hihi");
      await call(sandbox.socket, "/boom");
      expect((await eventually(() => records(sandbox).find((line) => line.m.includes("typed")), "the stack")).m).toMatch(
        /src\/index\.ts:5:/,
      );
    });
  }, 120_000);

  test("an Express app with sharp (native) and a view engine loaded by name; CommonJS paths", async () => {
    const archive = await packSource(
      {
        "package.json": '{"dependencies":{"express":"5.1.0","sharp":"0.34.4","ejs":"3.1.10"}}',
        "app.ts":
          'import express from "express";\nimport sharp from "sharp";\nimport path from "node:path";\nconst app = express();\napp.set("view engine", "ejs").set("views", path.join(__dirname, "views"));\napp.use("/static", express.static(path.join(__dirname, "public")));\napp.get("/view", (_q, r) => r.render("v", { who: "you" }));\napp.get("/png", async (_q, r) => { r.type("png").send(await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } }).png().toBuffer()); });\nexport default app;\n',
        "views/v.ejs": "hello <%= who %>",
        "public/a.txt": "static",
      },
      lockNpm,
    );
    await run(await build(binary, archive, { runtime: "node24" }), "node24", async (sandbox) => {
      expect((await call(sandbox.socket, "/static/a.txt")).text).toBe("static");
      expect((await call(sandbox.socket, "/view")).text).toBe("hello you");
      expect((await call(sandbox.socket, "/png")).body.subarray(1, 4).toString()).toBe("PNG");
    });
  }, 180_000);

  test("no package.json, no network: a CommonJS file", async () => {
    const built = await build(
      binary,
      await packSource({ "index.js": 'exports.handler = async () => ({ statusCode: 200, body: "plain" });' }),
      { runtime: "node24" },
      () => false,
    );
    expect(built.asked).toEqual([]);
    await run(built, "node24", async (sandbox) => expect((await call(sandbox.socket, "/")).text).toBe("plain"));
  }, 60_000);

  const failures: Array<[what: string, files: Record<string, string>, request: { main?: string }, message: RegExp, hint: RegExp]> = [
    ["a syntax error", { "index.ts": "const a = 1;\nexport default { fetch( };\n" }, {}, /^index\.ts:2:25: /, /^$/],
    [
      "an unresolved package",
      { "index.ts": 'import x from "left-pad";\nexport default x;\n' },
      {},
      /^index\.ts:1:15: Could not resolve "left-pad"/,
      /npm install left-pad/,
    ],
    [
      "an unresolved file",
      { "index.ts": 'import x from "./gone.ts";\nexport default x;\n' },
      {},
      /^index\.ts:1:15: Could not resolve ".\/gone.ts"/,
      /^$/,
    ],
    [
      "dependencies without a lockfile",
      { "index.ts": "", "package.json": '{"dependencies":{"hono":"4"}}' },
      {},
      /no package-lock\.json/,
      /npm install --package-lock-only/,
    ],
    [
      "a lockfile that disagrees",
      {
        "index.ts": "",
        "package.json": '{"dependencies":{"hono":"4.13.19"}}',
        "package-lock.json": '{"lockfileVersion":3,"packages":{"":{}}}',
      },
      {},
      /npm ci failed \(EUSAGE\)/,
      /npm install/,
    ],
    [
      "a lockfile that pins no bytes",
      {
        "index.ts": "",
        "package.json": '{"dependencies":{"hono":"4.13.19"}}',
        "package-lock.json":
          '{"lockfileVersion":3,"packages":{"":{"dependencies":{"hono":"4.13.19"}},"node_modules/hono":{"version":"4.13.19","resolved":"https://registry.npmjs.org/hono/-/hono-4.13.19.tgz"}}}',
      },
      {},
      /node_modules\/hono has no integrity/,
      /npm install/,
    ],
    [
      "a lockfile that names other bytes",
      {
        "index.ts": "",
        "package.json": '{"dependencies":{"is-number":"7.0.0"}}',
        "package-lock.json": JSON.stringify({
          lockfileVersion: 3,
          packages: {
            "": { dependencies: { "is-number": "7.0.0" } },
            "node_modules/is-number": {
              version: "7.0.0",
              resolved: "https://registry.example.com/is-number/-/is-number-7.0.0.tgz",
              integrity: `sha512-${Buffer.alloc(64).toString("base64")}`,
            },
          },
        }),
      },
      {},
      /npm ci failed \(EINTEGRITY\)/,
      /other bytes than the lockfile names/,
    ],
    ["a package.json that is no JSON", { "index.ts": "", "package.json": "{," }, {}, /package\.json is not valid JSON/, /^$/],
    ["no entry", { "readme.md": "x" }, {}, /No file with a handler/, /main:/],
    ["a main that is not there", { "index.ts": "" }, { main: "src/other.ts" }, /src\/other\.ts/, /fnctl\.yaml/],
  ];
  test.each(failures)(
    "%s is a failed event",
    async (_what, files, request, message, hint) => {
      const built = await build(binary, await packSource(files), { runtime: "node24", ...request });
      expect(built.last?.type).toBe("failed");
      const failed = built.last as Extract<BuilderEvent, { type: "failed" }>;
      expect(failed.message).toMatch(message);
      expect(failed.hint ?? "").toMatch(hint);
      expect(built.layer).toBeUndefined();
    },
    60_000,
  );

  test("scripts of packages do not run (G3)", async () => {
    const lock = {
      lockfileVersion: 3,
      packages: {
        "": { dependencies: { evil: "file:evil" } },
        "node_modules/evil": { resolved: "evil", link: true },
        evil: { name: "evil", version: "1.0.0", hasInstallScript: true },
      },
    };
    const built = await build(
      binary,
      await packSource({
        "package.json": '{"dependencies":{"evil":"file:evil"},"scripts":{"postinstall":"echo ran > /build/source/marker-root"}}',
        "package-lock.json": JSON.stringify(lock),
        "evil/package.json": '{"name":"evil","version":"1.0.0","main":"i.js","scripts":{"install":"echo ran > /build/source/marker-dep"}}',
        "evil/i.js": "module.exports = 1;",
        "index.js": 'import one from "evil";\nexport default () => new Response(String(one));',
      }),
      { runtime: "node24" },
    );
    expect(built.last?.type).toBe("done");
    expect((await entries(built.layer as Buffer)).filter((entry) => entry.name.includes("marker"))).toEqual([]);
  }, 60_000);

  test("a hostile archive is a 422", async () => {
    const pack = tar.pack();
    pack.entry({ name: "x", type: "symlink", linkname: "/etc/passwd" });
    pack.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of pack) chunks.push(chunk as Buffer);
    const { gzipSync } = await import("node:zlib");
    const built = await build(binary, gzipSync(Buffer.concat(chunks)), { runtime: "node24" });
    expect(built.source.status).toBe(422);
    expect(built.source.text).toMatch(/symlink/);
  }, 60_000);
});
