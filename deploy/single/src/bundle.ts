// Bundles each process into one file with esbuild, which starts quickly and which the services' users can read wherever the checkout is.
import { build, type BuildOptions } from "esbuild";
import { pathToFileURL } from "node:url";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../../..");
/** The parts that run both on one machine and in a cluster. */
export const SERVICES = {
  "control-plane": "control-plane/src/main.ts",
  "log-collector": "control-plane/src/log-collector-main.ts",
  gateway: "gateway/src/ingress-main.ts",
  egress: "gateway/src/egress-main.ts",
};
const ON_ONE_MACHINE = {
  ...SERVICES,
  driver: "control-plane/src/driver-main.ts",
  "import-base": "deploy/single/src/import-base-main.ts",
  "example-servers": "deploy/single/src/example-servers/main.ts",
};

/** CommonJS packages inside an ES module still call `require`. */
export const REQUIRE_BANNER =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";
const common: BuildOptions = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node24",
  sourcemap: "linked",
  logLevel: "warning",
  external: ["pg-native"],
  banner: { js: REQUIRE_BANNER },
};

/**
 * `entries` maps a program's name to its source, relative to the project's root. Dynamically imported modules go into files of their own.
 */
export async function bundleServices(outdir: string, entries: Record<string, string> = ON_ONE_MACHINE): Promise<void> {
  const entryPoints = Object.fromEntries(Object.entries(entries).map(([name, file]) => [name, path.join(root, file)]));
  await build({ ...common, entryPoints, outdir, outExtension: { ".js": ".mjs" }, splitting: true, chunkNames: "[name]-[hash]" });
}

/** The CLI: one file that runs on Node >= 20. */
export async function bundleCli(outfile: string): Promise<void> {
  await build({
    ...common,
    target: "node20",
    sourcemap: false,
    minifySyntax: true,
    entryPoints: [path.join(root, "cli/src/main.ts")],
    outfile,
    banner: { js: `#!/usr/bin/env node\n${REQUIRE_BANNER}` },
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await bundleServices(path.join(root, "deploy/dist"));
  await bundleCli(path.join(root, "cli/dist/fnctl.mjs"));
}
