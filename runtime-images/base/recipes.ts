// What each root file system adds to its Debian packages, and how its process is started.
import { cp, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ENTER_PROGRAM, NAMES_PROGRAM } from "@fnctl/control-plane/contract/runtime-protocol";
import type { BuildOptions, OutputFile } from "esbuild";
import { placeEsbuild, placeNode, placeNpm, placeWheels } from "./host-packages.ts";
import { run } from "./run.ts";
import type { RootfsName } from "./versions.ts";

export interface ProcessSpec {
  args: string[];
  env: Record<string, string>;
  cwd: string;
}
export interface Recipe {
  process: ProcessSpec;
  /** The one JavaScript file of ours: from an entry below the package to a path in the root file system. */
  script?: { entry: string; target: string; options(packageRoot: string): BuildOptions };
  /** Other folders and files below the package whose bytes decide whether a cached result is still right. */
  sources: readonly string[];
  place(root: string, packageRoot: string): Promise<void>;
}

const ENV = {
  PATH: "/usr/local/bin:/usr/bin:/bin",
  HOME: "/tmp",
  TMPDIR: "/tmp",
  LANG: "C.UTF-8",
  TZ: "UTC",
  SSL_CERT_FILE: "/etc/ssl/certs/ca-certificates.crt",
};

/** Where `enter.pl` lies. */
const ENTER = ENTER_PROGRAM.slice(1);
/** How the process is started in a pod: there nobody else mounts its folders. */
export const inPod = (process: ProcessSpec): ProcessSpec => ({ ...process, args: ["/usr/bin/perl", ENTER_PROGRAM, ...process.args] });
const placeEnter = (root: string, packageRoot: string): Promise<void> => cp(join(packageRoot, "base/enter.pl"), join(root, ENTER));
async function placeNames(root: string, packageRoot: string): Promise<void> {
  const program = join(root, NAMES_PROGRAM.slice(1));
  await cp(join(packageRoot, "base/names.pl"), program);
  for (const part of ["dns-message.pl", "way-to-proxy.pl"]) await cp(join(packageRoot, "base", part), join(dirname(program), part)); // beside it
}

export const RECIPES: Readonly<Record<RootfsName, Recipe>> = {
  node24: {
    process: { args: ["/usr/local/bin/node", "/opt/fnctl/node/bootstrap.mjs"], env: { ...ENV, NODE_ENV: "production" }, cwd: "/function" },
    script: { entry: "node/src/main.ts", target: "opt/fnctl/node/bootstrap.mjs", options: nodeBundleOptions },
    sources: [],
    place: async (root, packageRoot) => {
      await placeNode(root);
      await placeEnter(root, packageRoot);
      await placeNames(root, packageRoot);
    },
  },
  "python3.13": {
    process: {
      args: ["/usr/bin/python3.13", "-m", "fnctl_bootstrap"],
      env: { ...ENV, PYTHONPATH: "/opt/fnctl/python", PYTHONDONTWRITEBYTECODE: "1", PYTHONUNBUFFERED: "1" },
      cwd: "/function",
    },
    sources: ["python", "base/python-requirements.txt"],
    place: async (root, packageRoot) => {
      const target = join(root, "opt/fnctl/python");
      await placeEnter(root, packageRoot);
      await placeNames(root, packageRoot);
      await placeWheels(target, join(packageRoot, "base/python-requirements.txt"));
      await cp(join(packageRoot, "python/fnctl_bootstrap"), join(target, "fnctl_bootstrap"), {
        recursive: true,
        filter: (path) => !path.includes("__pycache__"),
      });
      await compilePython(root, ["/usr/lib/python3.13", "/opt/fnctl/python"]);
    },
  },
  builder: {
    process: {
      // No inspector: whoever got to run beside it could otherwise open one by a signal, and speak for the builder.
      args: ["/usr/local/bin/node", "--disable-sigusr1", "/opt/fnctl/builder/server.mjs"],
      env: { ...ENV, HOME: "/build/home", TMPDIR: "/build/tmp" },
      cwd: "/build",
    },
    script: { entry: "builder/src/main.ts", target: "opt/fnctl/builder/server.mjs", options: () => ({ external: ["esbuild"] }) },
    sources: ["base/builder-requirements.txt"],
    place: async (root, packageRoot) => {
      await placeNode(root);
      await placeEnter(root, packageRoot);
      const target = join(root, "opt/fnctl/builder");
      await placeEsbuild(join(target, "node_modules"));
      await placeNpm(join(target, "npm"));
      await placeWheels(join(target, "python"), join(packageRoot, "base/builder-requirements.txt"));
      await symlink("python3.13", join(root, "usr/bin/python3"));
      await compilePython(root, ["/usr/lib/python3.13"]);
    },
  },
};

/** Options of the Node bootstrap's bundle; also used where it runs outside a sandbox (tests, benchmarks, `fnctl dev`). */
export function nodeBundleOptions(packageRoot: string): BuildOptions {
  // @hono/node-server asks for node:http2 and Hono's WebSocket helper, neither of which serves HTTP/1.1 requests: 8 ms and 2 MB of start.
  return { alias: { "node:http2": join(packageRoot, "node/src/no-http2.ts"), "hono/ws": join(packageRoot, "node/src/no-http2.ts") } };
}

/** One ES module of an entry file and all it imports. */
export async function bundleScript(entry: string, options: BuildOptions = {}): Promise<Uint8Array> {
  const { build } = await import("esbuild");
  const result = await build({
    entryPoints: [entry],
    write: false,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    logLevel: "error",
    legalComments: "none",
    banner: { js: 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url);' },
    ...options,
  });
  return (result.outputFiles as OutputFile[])[0]?.contents ?? new Uint8Array();
}

/** Debian compiles these in a package script, which did not run; a read-only root could never keep them later. */
async function compilePython(root: string, folders: readonly string[]): Promise<void> {
  // A fixed hash seed and nothing else of this machine's environment: the bytes shall not depend on the run.
  const env = { PATH: process.env["PATH"], PYTHONHASHSEED: "0", PYTHONDONTWRITEBYTECODE: "1" };
  await run(
    "chroot",
    [root, "/usr/bin/python3.13", "-s", "-S", "-P", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", ...folders],
    { env },
  );
}
