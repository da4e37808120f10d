// One in-process instance: speaks the runtime protocol as a bootstrap in a sandbox does.
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { PlatformError, toProblem } from "../../contract/errors.ts";
import { PROTOCOL, PROTOCOL_PATHS, initSchema, type InitRequest } from "../../contract/runtime-protocol.ts";
import { readJson } from "../../service/http/json-body.ts";

const INIT_BODY_BYTES = 1024 * 1024;
type Open = (codeFolder: string, init: InitRequest) => RequestListener | Promise<RequestListener>;

export function createMemoryInstance(open: Open): { server: http.Server; place(folder: string): void } {
  let state: "idle" | "loading" | "ready" | "failed" = "idle";
  let codeFolder: string | undefined;
  let invoke: RequestListener = (_request, response) => refuse(response, new PlatformError("UNAVAILABLE", `The instance is ${state}.`));

  async function init(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = initSchema.parse(await readJson(request, INIT_BODY_BYTES));
    if (state !== "idle" || codeFolder === undefined)
      return refuse(response, new PlatformError("CONFLICT", `The instance is ${state}; init is sent once, after the code.`));
    state = "loading";
    const begun = performance.now();
    try {
      invoke = await open(codeFolder, body);
      state = "ready";
      answer(response, 200, { importMs: performance.now() - begun, kind: "listener" });
    } catch (error) {
      state = "failed";
      const failed = error instanceof Error ? { message: error.message, stack: error.stack ?? "" } : { message: String(error) };
      answer(response, 422, failed);
    }
  }

  /** Requests whose handler has not ended its response, whether or not the client is there. */
  let running = 0;
  const waiting: (() => void)[] = [];
  function whenNoneRuns(tell: () => void): void {
    if (running === 0) tell();
    else waiting.push(tell);
  }
  function run(request: IncomingMessage, response: ServerResponse): void {
    running += 1;
    const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
    response.end = (...args: unknown[]) => {
      response.end = end; // the first one counts
      running -= 1;
      if (running === 0) for (const tell of waiting.splice(0)) tell();
      return end(...args);
    };
    invoke(request, response);
  }

  const server = http.createServer((request, response) => {
    if (request.url === PROTOCOL_PATHS.health) answer(response, 200, { state, runtime: "node24", protocol: PROTOCOL });
    else if (request.url === PROTOCOL_PATHS.init) init(request, response).catch((error: unknown) => refuse(response, error));
    else if (request.url === PROTOCOL_PATHS.settled) whenNoneRuns(() => response.writeHead(204).end());
    else run(request, response);
  });
  return { server, place: (folder) => (codeFolder = folder) };
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, error: unknown): void {
  const problem = toProblem(error);
  answer(response, problem.status, problem);
}
