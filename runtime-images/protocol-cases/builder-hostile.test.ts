// Projects that carry programs and settings for the tools that install them: the builder runs none of the programs and obeys none of the
// settings.
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { BuilderEvent } from "@fnctl/control-plane/contract/runtime-protocol";
import { prepareRootfs } from "../base/prepare.ts";
import { cacheDir } from "../base/find-runsc.ts";
import { build, packSource, type Build } from "./builder-client.ts";
import { binary, entries, suite } from "./builder-harness.ts";
import { call, untilIdle } from "./client.ts";
import { startSandbox } from "./runsc.ts";

/** If this program runs, it leaves a marker file in the layer. */
const PROGRAM = "#!/bin/sh\necho ran > /build/source/marker\nexit 1\n";
const BACKEND = "open('/build/source/marker', 'w').write('ran')\n";
const ran = async ({ layer }: Build): Promise<boolean> =>
  layer !== undefined && (await entries(layer)).some(({ name }) => name.endsWith("/marker"));
const failure = ({ last }: Build) => last as Extract<BuilderEvent, { type: "failed" }>;

const gitLock = {
  lockfileVersion: 3,
  packages: {
    "": { optionalDependencies: { evil: "git+https://registry.example/a/evil.git#0123456789012345678901234567890123456789" } },
    "node_modules/evil": {
      version: "1.0.0",
      resolved: "git+https://registry.example/a/evil.git#0123456789012345678901234567890123456789",
      optional: true,
    },
  },
};
const projectWithGit = {
  "index.js": "export default () => new Response();",
  "package.json": JSON.stringify(gitLock.packages[""]),
  "package-lock.json": JSON.stringify(gitLock),
  ".npmrc": "allow-git=all\ngit=/build/source/program\n",
  program: PROGRAM,
};
const backend = {
  "pyproject.toml":
    '[project]\nname = "evil"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
  "backend.py": BACKEND,
};
const below = (folder: string) => Object.fromEntries(Object.entries(backend).map(([name, text]) => [`${folder}/${name}`, text]));

suite("builder: hostile projects", () => {
  test("a program that .npmrc names as git is not run, and a package from git is refused by its name", async () => {
    const built = await build(binary, await packSource(projectWithGit, (folder) => chmod(join(folder, "program"), 0o755)), {
      runtime: "node24",
    });
    expect(await ran(built)).toBe(false);
    expect(failure(built)).toMatchObject({ type: "failed", message: expect.stringMatching(/node_modules\/evil.*git/) });
  }, 60_000);

  test("settings in .npmrc are not obeyed, and the log names them without their values", async () => {
    const scripts = { preinstall: "/build/source/program", prepare: "/build/source/program", install: "/build/source/program" };
    const files = {
      "index.js": "export default () => new Response();",
      "package.json": JSON.stringify({
        dependencies: { b: "file:b", c: "file:c" },
        scripts,
        config: { "script-shell": "/build/source/program" },
      }),
      "package-lock.json": JSON.stringify({
        lockfileVersion: 3,
        packages: {
          "": { dependencies: { b: "file:b", c: "file:c" } },
          "node_modules/b": { resolved: "b", link: true },
          "node_modules/c": { resolved: "c", link: true },
          b: { version: "1.0.0", hasInstallScript: true },
          c: { version: "1.0.0", hasInstallScript: true },
        },
      }),
      "b/package.json": JSON.stringify({ name: "b", version: "1.0.0", scripts }),
      "c/package.json": JSON.stringify({ name: "c", version: "1.0.0", gypfile: true }),
      "c/binding.gyp": "{'variables': {'x': '<!(/build/source/program)'}}",
      "preload.cjs": "require('node:fs').writeFileSync('/build/source/marker', '');",
      ".npmrc":
        "install-links=true\nignore-scripts=false\nnode-options=--require=/build/source/preload.cjs\nscript-shell=/build/source/program\nregistry=https://evil.example/\n//evil.example/:_authToken=secret-token\n",
      program: PROGRAM,
    };
    const archive = await packSource(files, (folder) => chmod(join(folder, "program"), 0o755));
    const built = await build(binary, archive, { runtime: "node24" });
    expect(built.events.filter(({ type }) => type === "failed")).toEqual([]);
    expect(await ran(built)).toBe(false);
    const said = JSON.stringify(built.events);
    expect(said).toMatch(/Not used from \.npmrc: install-links, ignore-scripts, node-options, script-shell, registry/);
    expect(said).not.toContain("secret-token");
  }, 60_000);

  test.each([
    ["-e ./evil", below("evil")],
    ["--editable=evil", below("evil")],
    ["./evil", below("evil")],
    ["evil @ ./evil", below("evil")],
    ["-e .", backend],
  ])(
    "a build backend of the project is not run for %s in requirements.txt",
    async (line, files) => {
      const built = await build(
        binary,
        await packSource({ "main.py": "def handler(e, c): pass\n", "requirements.txt": `${line}\n`, ...files }),
        {
          runtime: "python3.13",
        },
      );
      expect(failure(built).message).toBeUndefined();
      expect(await ran(built)).toBe(false);
    },
    60_000,
  );

  test.each(["-e ../source/evil", "-e /build/source/evil", "-e file:///build/source/evil"])(
    "%s leads out of the project",
    async (line) => {
      const files = { "main.py": "", "requirements.txt": `${line}\n`, ...below("evil") };
      const built = await build(binary, await packSource(files), { runtime: "python3.13" });
      expect(await ran(built)).toBe(false);
      expect(failure(built)).toMatchObject({ type: "failed", message: expect.stringMatching(/requirements\.txt:1: .*out of the project/) });
    },
    60_000,
  );

  test("no inspector opens in the builder", async () => {
    const sandbox = await startSandbox({ runsc: binary, rootfs: await prepareRootfs("builder", { cacheDir: cacheDir() }), workMib: 64 });
    try {
      await untilIdle(sandbox);
      await sandbox.signal("USR1");
      await sandbox.signal("USR1");
      expect((await call(sandbox.socket, "/.fnctl/v1/health")).status).toBe(200);
      await sandbox.signal("TERM");
      await sandbox.exited;
      expect(sandbox.output()).not.toContain("Debugger listening");
    } finally {
      await sandbox.stop();
    }
  }, 60_000);

  test("ends at once on SIGTERM", async () => {
    const sandbox = await startSandbox({ runsc: binary, rootfs: await prepareRootfs("builder", { cacheDir: cacheDir() }), workMib: 64 });
    await untilIdle(sandbox);
    await sandbox.signal("TERM");
    expect(await sandbox.exited).toBe(0);
    await sandbox.stop();
  }, 60_000);
});
