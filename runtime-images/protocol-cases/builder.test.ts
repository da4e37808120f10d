// Real builds in real sandboxes from the real registries, and the built layers run by the real bootstraps.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import tar from "tar-stream";
import { entrySchema, type BuilderEvent } from "@fnctl/control-plane/contract/runtime-protocol";
import { cacheDir, findRunsc } from "../base/find-runsc.ts";
import { prepareRootfs, type RootfsName } from "../base/prepare.ts";
import { build, lockNpm, packSource, placeLayer, type Build } from "./builder-client.ts";
import { call, eventually, records, untilIdle } from "./client.ts";
import { startSandbox, type Sandbox } from "./runsc.ts";

const UUID = "0190a000-0000-7000-8000-000000000000";
const { binary, missing } = findRunsc();
const suite =
  missing === undefined ? describe : (title: string, _body: () => void): void => test.skip(`${title}: ${missing}`, () => undefined);

async function entries(layer: Buffer): Promise<Array<{ name: string; type: string; mode: number; facts: string }>> {
  const found: Array<{ name: string; type: string; mode: number; facts: string }> = [];
  const extract = tar.extract();
  Readable.from([layer]).pipe(extract);
  for await (const entry of extract) {
    const { name, type, mode, uid, gid, mtime, uname, gname } = entry.header;
    found.push({
      name: name.replace(/\/$/, ""),
      type: type ?? "",
      mode: mode ?? 0,
      facts: `${uid} ${gid} ${mtime?.getTime()} ${uname}${gname}`,
    });
    entry.resume();
  }
  return found;
}

/** Loads a built layer into a fresh sandbox of its runtime. */
async function run(built: Build, runtime: RootfsName, body: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  expect(built.events.filter((event) => event.type === "failed")).toEqual([]);
  const done = built.last as Extract<BuilderEvent, { type: "done" }>;
  const sandbox = await startSandbox({ runsc: binary, rootfs: await prepareRootfs(runtime, { cacheDir: cacheDir() }) });
  try {
    await untilIdle(sandbox);
    await placeLayer(built.layer as Buffer, sandbox.code);
    expect(entrySchema.parse(JSON.parse(await readFile(join(sandbox.code, ".fnctl/entry.json"), "utf8")))).toEqual(done.entry);
    const limits = { timeoutMs: 30_000, memoryMib: 256, concurrency: 10 };
    const reply = await call(sandbox.socket, "/.fnctl/v1/init", {
      body: JSON.stringify({
        tenantId: UUID,
        tenant: "acme",
        functionId: UUID,
        function: "case",
        versionId: UUID,
        version: 1,
        entry: done.entry,
        env: {},
        limits,
      }),
    });
    expect(reply).toMatchObject({ status: 200 });
    await body(sandbox);
  } finally {
    await sandbox.stop();
  }
}

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
        "package.json": '{"dependencies":{"evil":"file:evil"},"scripts":{"postinstall":"echo ran > /work/source/marker-root"}}',
        "package-lock.json": JSON.stringify(lock),
        "evil/package.json": '{"name":"evil","version":"1.0.0","main":"i.js","scripts":{"install":"echo ran > /work/source/marker-dep"}}',
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

const lockedProject = {
  "pyproject.toml": '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["itsdangerous==2.2.0"]\n',
  "uv.lock": `version = 1
revision = 5
requires-python = ">=3.12"

[[package]]
name = "itsdangerous"
version = "2.2.0"
source = { registry = "https://pypi.org/simple" }
wheels = [
    { url = "https://files.pythonhosted.org/packages/04/96/92447566d16df59b2a776c0fb82dbc4d9e07cd95062562af01e408583fc4/itsdangerous-2.2.0-py3-none-any.whl", hash = "sha256:c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef", size = 16234 },
]

[[package]]
name = "x"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "itsdangerous" }]

[package.metadata]
requires-dist = [{ name = "itsdangerous", specifier = "==2.2.0" }]
`,
};

suite("builder: Python", () => {
  test("FastAPI and NumPy from requirements.txt: runs, and the same bytes twice", async () => {
    const archive = await packSource({
      "requirements.txt": "fastapi==0.115.14\nnumpy==2.3.5\n",
      "main.py":
        'from fastapi import FastAPI\nimport numpy as np\nfrom lib.extra import name\napp = FastAPI()\n@app.get("/")\ndef root():\n    return {"sum": int(np.arange(10).sum()), "name": name}\n',
      "lib/extra.py": 'name = "extra"\n',
    });
    const [first, second] = [
      await build(binary, archive, { runtime: "python3.13" }),
      await build(binary, archive, { runtime: "python3.13" }),
    ];
    expect(first.layer?.equals(second.layer as Buffer)).toBe(true);
    await run(first, "python3.13", async (sandbox) =>
      expect(JSON.parse((await call(sandbox.socket, "/")).text)).toEqual({ sum: 45, name: "extra" }),
    );
  }, 180_000);

  test("pyproject.toml and uv.lock are exported with hashes and installed", async () => {
    const archive = await packSource({
      ...lockedProject,
      "app.py":
        'from itsdangerous import Signer\ndef handler(event, context):\n    return Signer("key").sign("text").decode().split(".")[0]\n',
    });
    await run(await build(binary, archive, { runtime: "python3.13" }), "python3.13", async (sandbox) =>
      expect((await call(sandbox.socket, "/")).text).toBe("text"),
    );
  }, 60_000);

  test("a hash in uv.lock that is not the wheel's stops the build", async () => {
    const bent = { ...lockedProject, "uv.lock": lockedProject["uv.lock"].replace("sha256:c6242fc4", "sha256:00000000"), "app.py": "" };
    const built = await build(binary, await packSource(bent), { runtime: "python3.13" });
    expect(built.last).toMatchObject({ type: "failed", message: expect.stringMatching(/hash/i) });
  }, 60_000);

  test("dependencies in pyproject.toml without a lock are refused with what to do", async () => {
    const built = await build(binary, await packSource({ "app.py": "", "pyproject.toml": lockedProject["pyproject.toml"] }), {
      runtime: "python3.13",
    });
    expect(built.last).toMatchObject({
      type: "failed",
      message: expect.stringContaining("no uv.lock"),
      hint: expect.stringContaining("uv lock"),
    });
  }, 60_000);

  const failures: Array<[what: string, files: Record<string, string>, message: RegExp]> = [
    ["a syntax error", { "main.py": "x = 1\ndef app(:\n" }, /^main\.py:2:\d+: SyntaxError/],
    [
      "a package that does not exist",
      { "main.py": "", "requirements.txt": "fnctl-no-such-package-here==1.0\n" },
      /uv pip install failed: .*fnctl-no-such-package-here/,
    ],
    [
      "an index of its own",
      { "main.py": "", "requirements.txt": "--extra-index-url https://evil.example/simple\nflask\n" },
      /names a package index/,
    ],
    ["a wrong hash", { "main.py": "", "requirements.txt": `click==8.5.1 --hash=sha256:${"0".repeat(64)}\n` }, /[Hh]ash/],
    ["no entry", { "readme.md": "" }, /No file with a handler/],
  ];
  test.each(failures)(
    "%s is a failed event",
    async (_what, files, message) => {
      const built = await build(binary, await packSource(files), { runtime: "python3.13" });
      expect(built.last?.type).toBe("failed");
      expect((built.last as Extract<BuilderEvent, { type: "failed" }>).message).toMatch(message);
    },
    60_000,
  );
});
