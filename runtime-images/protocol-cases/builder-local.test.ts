// Python projects of more than one part: their folders are on the path, their wheels are installed, and no package of theirs is built.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { BuilderEvent } from "@fnctl/control-plane/contract/runtime-protocol";
import { build, packSource } from "./builder-client.ts";
import { binary, run, suite } from "./builder-harness.ts";
import { call } from "./client.ts";
import { workspaceLock } from "./uv-locks.ts";

const exec = promisify(execFile);
const project = (name: string, more = "") => `[project]\nname = "${name}"\nversion = "1"\nrequires-python = ">=3.12"\n${more}`;
const answers = (expression: string, imports: string) => `${imports}\ndef handler(event, context):\n    return str(${expression})\n`;
/** A wheel is a zip with three files about itself (PEP 427). */
const WHEEL = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/vend-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr(zipfile.ZipInfo("vend.py"), "VALUE = 'vendored'\\n")
    wheel.writestr(zipfile.ZipInfo("vend-1.0.dist-info/METADATA"), "Metadata-Version: 2.1\\nName: vend\\nVersion: 1.0\\n")
    wheel.writestr(zipfile.ZipInfo("vend-1.0.dist-info/WHEEL"), "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(zipfile.ZipInfo("vend-1.0.dist-info/RECORD"), "vend.py,,\\nvend-1.0.dist-info/METADATA,,\\nvend-1.0.dist-info/WHEEL,,\\nvend-1.0.dist-info/RECORD,,\\n")
`;
const makeWheel = (folder: string) => exec("python3", ["-c", WHEEL, join(folder, "vendor")]);

const cases: Array<[what: string, files: Record<string, string>, main: string, answer: string]> = [
  [
    "a package in src that imports itself by its name",
    {
      "src/shop/__init__.py": "",
      "src/shop/prices.py": "P = 7\n",
      "src/shop/main.py": answers("(P, Q, __name__)", "from shop.prices import P\nfrom .prices import P as Q"),
    },
    "src/shop/main.py",
    "(7, 7, 'shop.main')",
  ],
  [
    "src as a package itself, as before",
    {
      "src/__init__.py": "",
      "src/shared.py": "P = 7\n",
      "src/api/__init__.py": "",
      "src/api/main.py": answers("(P, __name__)", "from ..shared import P"),
    },
    "src/api/main.py",
    "(7, 'src.api.main')",
  ],
  [
    "folders in src that are no packages: both ways of importing",
    {
      "src/shared/p.py": "P = 7\n",
      "src/api/main.py": answers("(P, Q, __name__)", "from ..shared.p import P\nfrom shared.p import P as Q"),
    },
    "src/api/main.py",
    "(7, 7, 'src.api.main')",
  ],
  [
    "a file in src imports its neighbour as before",
    { "src/main.py": answers("P", "from prices import P"), "src/prices.py": "P = 7\n" },
    "src/main.py",
    "7",
  ],
  [
    "-e . with what its pyproject.toml lists",
    {
      "requirements.txt": "-e .[signed]\n",
      "pyproject.toml": project(
        "shop",
        'dependencies = ["six>=1.17", "shop[none]"]\noptional-dependencies = { signed = ["itsdangerous"], none = [] }\n',
      ),
      "src/shop/__init__.py": "import six, itsdangerous\nP = 7\n",
      "main.py": answers("P", "from shop import P"),
    },
    "main.py",
    "7",
  ],
  [
    "folders of the project by path, one of which names another by tool.uv.sources",
    {
      "requirements.txt": "-e ./libs/a\nlibs/c\nb\n",
      "libs/a/pyproject.toml": project("a", 'dependencies = ["B"]\n[tool.uv.sources]\nb = { path = "../b", editable = true }\n'),
      "libs/a/src/a.py": "from b import B\nA = B + 1\n",
      "libs/b/pyproject.toml": project("b"),
      "libs/b/b/__init__.py": "B = 1\n",
      "libs/c/setup.py": "raise SystemExit('built')\n",
      "libs/c/c.py": "C = 3\n",
      "main.py": answers("(A, C)", "from a import A\nfrom c import C"),
    },
    "main.py",
    "(2, 3)",
  ],
  [
    "a workspace with its uv.lock",
    {
      "pyproject.toml": project(
        "shop",
        'dependencies = ["prices"]\n[tool.uv.sources]\nprices = { workspace = true }\n[tool.uv.workspace]\nmembers = ["packages/*"]\n',
      ),
      "uv.lock": workspaceLock,
      "packages/prices/pyproject.toml": project("prices", 'dependencies = ["itsdangerous==2.2.0"]\n'),
      "packages/prices/src/prices/__init__.py": "import itsdangerous\nP = 7\n",
      "src/shop/__init__.py": "",
      "src/shop/main.py": answers("P", "from prices import P"),
      "uv.toml": 'index-url = "https://evil.example/simple"\n',
      ".python-version": "2.7\n",
    },
    "src/shop/main.py",
    "7",
  ],
];

suite("builder: local Python projects", () => {
  test.each(cases)(
    "%s",
    async (_what, files, main, answer) => {
      const built = await build(binary, await packSource(files), { runtime: "python3.13", main });
      await run(built, "python3.13", async (sandbox) => expect((await call(sandbox.socket, "/")).text).toBe(answer));
    },
    120_000,
  );

  test("a wheel of the project is installed, the same bytes twice", async () => {
    const files = {
      "requirements.txt": "./vendor/vend-1.0-py3-none-any.whl\n",
      "vendor/readme": "",
      "main.py": answers("VALUE", "from vend import VALUE"),
    };
    const archive = await packSource(files, makeWheel);
    const builds = [
      await build(binary, archive, { runtime: "python3.13" }),
      await build(binary, archive, { runtime: "python3.13" }),
    ] as const;
    await run(builds[0], "python3.13", async (sandbox) => expect((await call(sandbox.socket, "/")).text).toBe("vendored"));
    expect(builds[0].layer?.equals(builds[1].layer as Buffer)).toBe(true);
    expect(builds[0].asked).toEqual([]);
  }, 120_000);

  test.each([
    [
      "a member of a workspace without its uv.lock",
      'dependencies = ["b"]\n[tool.uv.sources]\nb = { workspace = true }\n',
      /^libs\/a\/pyproject\.toml: b comes from a place/,
    ],
    ["a dependency on a repository", 'dependencies = ["b @ git+https://github.com/a/b"]\n', /^libs\/a\/pyproject\.toml: .*is a repository/],
    ["a number that JSON has not", "[tool.x]\nvalue = nan\n", /^libs\/a\/pyproject\.toml is not valid/],
    ["a dependency outside of the project", 'dependencies = ["b"]\n[tool.uv.sources]\nb = { path = "../../../b" }\n', /out of the project/],
  ])(
    "%s is refused",
    async (_what, more, message) => {
      const files = { "main.py": "", "requirements.txt": "-e ./libs/a", "libs/a/pyproject.toml": project("a", more) };
      const built = await build(binary, await packSource(files), { runtime: "python3.13" });
      expect((built.last as Extract<BuilderEvent, { type: "failed" }>).message).toMatch(message);
    },
    60_000,
  );
});
