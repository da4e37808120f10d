// The builder's calls, each once and in order: source, build, layer. Its peer is the control plane.
import type { IncomingMessage, ServerResponse } from "node:http";
import { mkdir, writeFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import { join } from "node:path";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { BuildFailure } from "./build-failure.ts";
import { checkLayerSize, writeLayer, type LayerFiles } from "./layer.ts";
import { BUILD_PATH, HEALTH_PATH, LAYER_PATH, SOURCE_PATH, type BuilderEvent, type BuildRequest, type Entry } from "./protocol.ts";
import { unpack } from "./unpack.ts";
import type { Workspace } from "./workspace.ts";

export interface BuilderDeps {
  /** Scratch folder; a size-limited tmpfs in a sandbox. */
  work: string;
  /** URL of the proxy to the registries. */
  proxy: string | undefined;
  builders: Readonly<Record<BuildRequest["runtime"], (workspace: Workspace) => Promise<{ entry: Entry; files: LayerFiles }>>>;
}
type State = "idle" | "loading" | "ready" | "failed";

export function createBuilder(deps: BuilderDeps): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  const source = join(deps.work, "source");
  let state: State = "idle";
  let hasSource = false;
  let layer: LayerFiles | undefined;

  const takeSource = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    if (state !== "idle" || hasSource) return answer(outgoing, 409, { message: "A source was sent already." });
    hasSource = true;
    try {
      await unpack(incoming, source);
      outgoing.writeHead(204).end();
    } catch (error) {
      state = "failed";
      if (!(error instanceof BuildFailure)) throw error;
      // The rest of a refused archive is not read.
      outgoing.shouldKeepAlive = false;
      answer(outgoing, 422, { message: error.message });
    }
  };
  const build = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    if (state !== "idle" || !hasSource) return answer(outgoing, 409, { message: "A build needs a source and happens once." });
    state = "loading";
    const request = JSON.parse(await text(incoming)) as BuildRequest;
    outgoing.writeHead(200, { "content-type": "application/x-ndjson" });
    const emit = cappedEmitter((event) => void outgoing.write(`${JSON.stringify(event)}\n`));
    const result = await runBuild(deps, source, request, emit);
    state = result === undefined ? "failed" : "ready";
    layer = result;
    outgoing.end();
  };
  const sendLayer = async (outgoing: ServerResponse): Promise<void> => {
    if (layer === undefined) return answer(outgoing, 409, { message: "There is no finished build." });
    outgoing.writeHead(200, { "content-type": "application/x-tar" });
    await writeLayer(layer, outgoing);
  };
  const route = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    switch (`${incoming.method} ${incoming.url}`) {
      case `GET ${HEALTH_PATH}`:
        return answer(outgoing, 200, { state, runtime: "node24", protocol: 1 });
      case `PUT ${SOURCE_PATH}`:
        return takeSource(incoming, outgoing);
      case `POST ${BUILD_PATH}`:
        return build(incoming, outgoing);
      case `GET ${LAYER_PATH}`:
        return sendLayer(outgoing);
      default:
        return answer(outgoing, 404, { message: "The builder has no such call." });
    }
  };
  return (incoming, outgoing) => {
    route(incoming, outgoing).catch((error: unknown) => {
      state = "failed";
      console.error(error);
      if (outgoing.headersSent) outgoing.destroy();
      else answer(outgoing, 500, { message: "The builder failed." });
    });
  };
}

async function runBuild(
  deps: BuilderDeps,
  source: string,
  request: BuildRequest,
  emit: (event: BuilderEvent) => void,
): Promise<LayerFiles | undefined> {
  const signal = AbortSignal.timeout(request.timeoutMs);
  emit = withoutCredential(emit, deps.proxy);
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    emit({ type: "step", name, ms: Math.round(performance.now() - started) });
    return result;
  };
  try {
    const workspace: Workspace = {
      source,
      scratch: join(deps.work, "scratch"),
      request,
      proxy: deps.proxy,
      caFile: await writeCaFile(deps.work, request.caBundle),
      signal,
      emit,
      step,
    };
    const { entry, files } = await deps.builders[request.runtime](workspace);
    files.set(".fnctl/entry.json", Buffer.from(`${JSON.stringify(entry)}\n`));
    checkLayerSize(files);
    emit({ type: "done", entry });
    return files;
  } catch (error) {
    emit(failureEvent(error, signal, request));
    return undefined;
  }
}

function failureEvent(error: unknown, signal: AbortSignal, request: BuildRequest): BuilderEvent {
  if (signal.aborted)
    return {
      type: "failed",
      message: `The build took longer than ${Math.round(request.timeoutMs / 1000)} s.`,
      hint: "Leave out dependencies that are not needed, or ask the operator for a longer limit.",
    };
  if (error instanceof BuildFailure)
    return { type: "failed", message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "ENOMEM")
    return { type: "failed", message: "The build needs more space than a builder has.", hint: "Leave out large dependencies or files." };
  throw error;
}

/** Tools name the proxy that they could not reach: its credential stays out of the log. */
function withoutCredential(send: (event: BuilderEvent) => void, proxy: string | undefined): (event: BuilderEvent) => void {
  const credential = proxy === undefined ? "" : decodeURIComponent(new URL(proxy).password);
  if (credential === "") return send;
  const clean = (from: string) => from.replaceAll(credential, "***").replaceAll(encodeURIComponent(credential), "***");
  return (event) => {
    if (event.type === "log") send({ ...event, text: clean(event.text) });
    else send(event.type === "failed" ? { ...event, message: clean(event.message) } : event);
  };
}

/** Lets the log through until its limit (SECURITY G8); steps and the outcome always pass. */
function cappedEmitter(send: (event: BuilderEvent) => void): (event: BuilderEvent) => void {
  let left: number = LIMITS.buildLogBytes;
  return (event) => {
    if (event.type !== "log") return send(event);
    if (left <= 0) return;
    left -= event.text.length + 64;
    send(left > 0 ? event : { type: "log", stream: "stderr", text: "The build log is longer than is kept; the rest was dropped." });
  };
}

/** What the tools trust: they take one file instead of their built-in roots, so it holds both. */
async function writeCaFile(work: string, bundle: string | undefined): Promise<string> {
  for (const folder of ["scratch/home", "scratch/tmp"]) await mkdir(join(work, folder), { recursive: true });
  const path = join(work, "scratch/ca.pem");
  await writeFile(path, `${[...rootCertificates, ...(bundle === undefined ? [] : [bundle])].join("\n")}\n`);
  return path;
}

async function text(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function answer(outgoing: ServerResponse, status: number, value: unknown): void {
  outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
