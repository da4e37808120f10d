// Deploys one function: validate, upload, build, publish, roll out, ready.
import { randomUUID } from "node:crypto";
import { functionSchema, page } from "@fnctl/control-plane/contract/resources";
import { buildEvents } from "../api/build-stream.ts";
import type { ApiClient } from "../api/client.ts";
import { problemError } from "../api/problem.ts";
import { functionPath, looseVersion, type LooseVersion } from "../api/resources.ts";
import { CliError } from "../errors/cli-error.ts";
import { EXIT } from "../errors/exit-codes.ts";
import { packFolder, type Archive } from "../pack/archive.ts";
import type { ProjectFunction } from "../project/read-project.ts";
import { bytes } from "../terminal/amounts.ts";
import type { DeployResult, Phase, Reporter } from "./reporter.ts";

export interface DeployOptions {
  api: ApiClient;
  reporter: Reporter;
  /** Ends the waiting; the build continues. */
  signal: AbortSignal;
  promote: boolean;
  detach: boolean;
}

async function timed<T>(
  reporter: Reporter,
  phase: Phase,
  work: () => Promise<T>,
  note: (value: T) => string | undefined = () => undefined,
): Promise<T> {
  reporter.started(phase);
  const begun = performance.now();
  try {
    const value = await work();
    reporter.done(phase, performance.now() - begun, note(value));
    return value;
  } catch (error) {
    reporter.failed(phase);
    throw error;
  }
}

export function validate(reporter: Reporter, folder: string): Promise<Archive> {
  const count = (files: number) => (files === 1 ? "1 file" : `${files} files`);
  return timed(
    reporter,
    "validate",
    () => packFolder(folder),
    (archive) => `${count(archive.files.length)}, ${bytes(archive.bytes.length)} packed`,
  );
}

async function upload({ api, reporter }: DeployOptions, archive: Archive): Promise<void> {
  const path = `/v1/blobs/${archive.digest}`;
  const known = await api.send("GET", path).then(
    () => true,
    (error: unknown) => {
      if (error instanceof CliError && error.code === "NOT_FOUND") return false;
      throw error;
    },
  );
  if (known) return reporter.skipped("upload", "unchanged");
  await timed(
    reporter,
    "upload",
    () => api.send("PUT", path, { bytes: archive.bytes }),
    () => bytes(archive.bytes.length),
  );
}

/** Reads the build's events to the end; returns when the build succeeded, throws when it failed. */
async function followBuild({ api, reporter, signal }: DeployOptions, name: string, version: LooseVersion): Promise<void> {
  let phase: Phase | undefined;
  for await (const event of buildEvents(api, version.build.id, signal)) {
    if (event.type === "log") reporter.log(event.stream, event.text);
    else if (event.type === "phase" && event.state === "started") reporter.started((phase = event.phase));
    else if (event.type === "phase") {
      reporter.done(event.phase, event.ms ?? 0);
      phase = undefined;
    } else if (event.state !== "succeeded") {
      if (phase !== undefined) reporter.failed(phase);
      throw buildError(event.problem, phase, name);
    }
  }
}

/** A failure with no exit code of its own counts as a failed roll-out once the build is over. */
function buildError(problem: unknown, phase: Phase | undefined, name: string): CliError {
  const error = problemError(problem) ?? new CliError("BUILD_FAILED", "The build failed and gave no reason.");
  const system = ["INTERNAL", "SANDBOX_FAILED", "UNAVAILABLE"].includes(error.code);
  const more = system && phase === "rollout" ? { exitCode: EXIT.rolloutFailed } : {};
  return error.with(error.code === "INIT_FAILED" ? { ...more, next: `fnctl logs ${name}` } : more);
}

export async function deployFunction(entry: ProjectFunction, folder: string, options: DeployOptions): Promise<DeployResult> {
  const { api, reporter, promote, detach } = options;
  const begun = performance.now();
  reporter.begin(entry.name);
  const archive = await validate(reporter, folder);
  await upload(options, archive);
  const body = { sourceDigest: archive.digest, config: entry.config, promote };
  const version = await api.json(looseVersion, "POST", functionPath(entry.name, "/versions"), {
    body,
    headers: { "idempotency-key": randomUUID() },
  });
  const result = { function: entry.name, version: version.number, sourceDigest: archive.digest, buildId: version.build.id };
  if (!detach) {
    await followBuild(options, entry.name, version).catch((error: unknown) => {
      const left = error instanceof CliError && (error.code === "INTERRUPTED" || error.code === "WAIT_TIMEOUT");
      throw left ? error.with({ hint: `The build of v${version.number} goes on.`, next: `fnctl versions ${entry.name}` }) : error;
    });
  }
  const read = () => api.json(functionSchema, "GET", functionPath(entry.name));
  const live = promote && !detach;
  const resource = live ? await timed(reporter, "ready", read) : await read();
  const imageDigest = detach ? null : await imageOf(api, entry.name, version.number);
  return { ...result, url: resource.url, imageDigest, live, totalMs: Math.round(performance.now() - begun) };
}

async function imageOf(api: ApiClient, name: string, number: number): Promise<string | null> {
  // The version is nearly always on the newest page; if it is not, the digest is left out.
  const { items } = await api.json(page(looseVersion), "GET", functionPath(name, "/versions?limit=20"));
  return items.find((item) => item.number === number)?.imageDigest ?? null;
}
