// The instance: its state and the platform's routes; everything else is an invocation.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { join } from "node:path";
import { PROBLEM_TYPE } from "./failures.ts";
import { loadFunction, toInitFailure } from "./load-function.ts";
import { HEALTH_PATH, INIT_PATH, PROTOCOL, PROTOCOL_PREFIX, type InitRequest } from "./protocol.ts";
import { RequestContext, requestContext } from "./request-context.ts";

const INIT_BODY_BYTES = 1024 * 1024;
type State = "idle" | "loading" | "ready" | "failed";

export function createInstance(codeFolder: string): RequestListener {
  let state: State = "idle";
  let invoke: RequestListener = (_incoming, outgoing) => problem(outgoing, 503, "UNAVAILABLE", `The instance is ${state}.`);

  const init = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    if (state !== "idle") return problem(outgoing, 409, "CONFLICT", `The instance is ${state}; init is sent once.`);
    state = "loading";
    let file = "";
    try {
      const request = (await readJson(incoming)) as InitRequest;
      process.chdir(codeFolder); // it was not there when the process started
      file = join(codeFolder, request.entry.file);
      const loaded = await loadFunction(request, file);
      invoke = loaded.listener;
      state = "ready";
      json(outgoing, 200, { importMs: loaded.importMs, kind: loaded.kind });
    } catch (error) {
      state = "failed";
      json(outgoing, 422, await toInitFailure(error, file));
    }
  };
  const platform: RequestListener = (incoming, outgoing) => {
    if (incoming.url === HEALTH_PATH && incoming.method === "GET")
      return json(outgoing, 200, { state, runtime: "node24", protocol: PROTOCOL });
    if (incoming.url === INIT_PATH && incoming.method === "POST") return void init(incoming, outgoing);
    return problem(outgoing, 404, "NOT_FOUND", "The runtime protocol has no such call.");
  };
  return (incoming, outgoing) => {
    if (incoming.url?.startsWith(PROTOCOL_PREFIX) === true) platform(incoming, outgoing);
    else requestContext.run(new RequestContext(incoming), invoke, incoming as never, outgoing as never);
  };
}

async function readJson(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > INIT_BODY_BYTES) throw new Error("The init request is too large.");
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}

function json(outgoing: ServerResponse, status: number, value: unknown): void {
  outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function problem(outgoing: ServerResponse, status: number, code: string, detail: string): void {
  outgoing
    .writeHead(status, { "content-type": PROBLEM_TYPE })
    .end(JSON.stringify({ type: `urn:fnctl:error:${code}`, title: code, status, code, detail }));
}
