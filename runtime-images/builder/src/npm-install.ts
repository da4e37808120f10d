// Installs a Node function's production dependencies from its lockfile, without running any package's scripts (SECURITY G3, G4).
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildFailure } from "./build-failure.ts";
import { checkNpmLock } from "./npm-lock.ts";
import { npmSettings } from "./npm-settings.ts";
import { runTool } from "./tools.ts";
import { toolEnvironment, type Workspace } from "./workspace.ts";

const NPM = "/opt/fnctl/builder/npm/bin/npm-cli.js";
const LOCK = "package-lock.json";

export async function installNpmDependencies(workspace: Workspace, packageJson: Record<string, unknown>): Promise<void> {
  if (
    !hasEntries(packageJson["dependencies"]) &&
    !hasEntries(packageJson["optionalDependencies"]) &&
    packageJson["workspaces"] === undefined
  )
    return;
  const lock = await readOptional(join(workspace.source, LOCK));
  if (lock === undefined) {
    throw new BuildFailure(
      "package.json has dependencies, but there is no package-lock.json.",
      "Run `npm install --package-lock-only` and deploy again; lockfiles of yarn and pnpm, and npm-shrinkwrap.json, are not read.",
    );
  }
  checkNpmLock(lock);
  await workspace.step("npm ci", async () => npmCi(workspace, await takeSettings(workspace)));
}

/**
 * The project's .npmrc leaves its place, so that npm does not find it, and what may be said of it goes into a file of ours: npm runs the
 * program that the file calls `git`.
 */
async function takeSettings({ source, scratch, request, emit }: Workspace): Promise<string> {
  const file = join(scratch, "home/.npmrc");
  const text = (await readOptional(join(source, ".npmrc"))) ?? "";
  await rm(join(source, ".npmrc"), { recursive: true, force: true });
  const { lines, dropped } = npmSettings(text, request.npmRegistry);
  if (dropped.length > 0) emit({ type: "log", stream: "stderr", text: `Not used from .npmrc: ${dropped.slice(0, 20).join(", ")}.` });
  await writeFile(file, lines.map((line) => `${line}\n`).join(""));
  return file;
}

async function npmCi(workspace: Workspace, userconfig: string): Promise<void> {
  const { source, scratch, request } = workspace;
  const settings = [
    "--ignore-scripts",
    "--allow-git=none",
    "--no-audit",
    "--no-fund",
    "--omit=dev",
    "--no-update-notifier",
    "--loglevel=warn",
    "--no-progress",
    "--no-bin-links",
    // A moment's fault of the network is tried again at once; npm's own pauses, 10 s and a minute, are also made before bytes are fetched
    // again that can only be wrong again.
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=500",
    "--fetch-retry-maxtimeout=2000",
    `--cache=${join(scratch, "npm")}`,
    `--userconfig=${userconfig}`,
    `--globalconfig=${join(scratch, "home/npmrc-global")}`,
    // The lockfile's hosts give way to the operator's registry, the only one that can be reached.
    "--replace-registry-host=always",
    `--cafile=${workspace.caFile}`,
    ...(request.npmRegistry === undefined ? [] : [`--registry=${request.npmRegistry}`]),
    ...(workspace.proxy === undefined ? [] : [`--proxy=${workspace.proxy}`, `--https-proxy=${workspace.proxy}`]),
  ];
  const result = await runTool(process.execPath, ["--disable-sigusr1", NPM, "ci", ...settings], {
    cwd: source,
    env: toolEnvironment(workspace),
    signal: workspace.signal,
    emit: workspace.emit,
  });
  if (result.code !== 0) throw npmFailure(result.tail);
}

function npmFailure(tail: readonly string[]): BuildFailure {
  const errors = tail.filter((line) => line.startsWith("npm error")).map((line) => line.replace(/^npm error ?/, "").trim());
  const code = errors.find((line) => line.startsWith("code "))?.slice(5);
  const text = errors
    .filter((line) => line !== "" && !/^(?:code |A complete log|\/build\/)/.test(line))
    .slice(0, 4)
    .join(" ");
  const hints: Record<string, string> = {
    EUSAGE: "Run `npm install` so that package-lock.json agrees with package.json, and deploy again.",
    E404: "Is the package in the registry this platform uses? Packages in private registries must be mirrored there.",
    EINTEGRITY: "The registry served other bytes than the lockfile names; make the lockfile anew if the change is known.",
  };
  return new BuildFailure(
    `npm ci failed${code === undefined ? "" : ` (${code})`}: ${text || "see the build log"}`,
    code === undefined ? undefined : hints[code],
  );
}

const readOptional = (file: string): Promise<string | undefined> =>
  readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "EISDIR") return undefined;
    throw error;
  });

const hasEntries = (value: unknown): boolean => typeof value === "object" && value !== null && Object.keys(value).length > 0;
