// The instance: its state and the platform's routes; everything else is an invocation.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { join } from "node:path";
import { PROBLEM_TYPE } from "./failures.ts";
import type { Names } from "./names.ts";
import { loadFunction, toInitFailure } from "./load-function.ts";
import {
  CODE_DIGEST_HEADER,
  CODE_PATH,
  EXCHANGE_HEADER,
  HEALTH_PATH,
  INIT_PATH,
  PROTOCOL,
  PROTOCOL_PREFIX,
  SETTLED_PATH,
  type InitRequest,
} from "./protocol.ts";
import { RequestContext, requestContext } from "./request-context.ts";
import { expectOneAtATime, runHandler, whenSettled, type Handle } from "./running.ts";

const INIT_BODY_BYTES = 1024 * 1024;
type State = "idle" | "loading" | "ready" | "failed";

/**
 * `codeBytes`: in a pod, the most that the code may have which is sent in; elsewhere it lies there already. `becameReady`: from now on there
 * may be requests that an end has to wait for.
 */
export function createInstance(
  codeFolder: string,
  codeBytes?: number,
  becameReady: () => void = () => undefined,
  names: Names = () => Promise.resolve(),
): RequestListener {
  let state: State = "idle";
  let code: string | undefined;
  let receiving = false;
  let invoke: Handle = (_incoming, outgoing) => problem(outgoing, 503, "UNAVAILABLE", `The instance is ${state}.`);

  const takeCode = async (incoming: IncomingMessage, outgoing: ServerResponse, maxBytes: number): Promise<void> => {
    const digest = String(incoming.headers[CODE_DIGEST_HEADER]);
    if (code === digest && state === "idle") return json(outgoing, 200, {});
    if (state !== "idle" || receiving || code !== undefined)
      return problem(outgoing, 409, "CONFLICT", "The code is sent once, before init.");
    receiving = true;
    const { CodeRefused, receiveCode } = await import("./receive-code.ts");
    try {
      await receiveCode(incoming, digest, codeFolder, maxBytes);
      code = digest;
      json(outgoing, 201, {});
    } catch (error) {
      state = "failed";
      outgoing.shouldKeepAlive = false; // the rest of a refused one is not read
      const status = error instanceof CodeRefused ? error.status : 500;
      problem(outgoing, status, status === 413 ? "PAYLOAD_TOO_LARGE" : "DIGEST_MISMATCH", (error as Error).message);
    } finally {
      receiving = false;
    }
  };
  const init = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    if (state !== "idle") return problem(outgoing, 409, "CONFLICT", `The instance is ${state}; init is sent once.`);
    if (codeBytes !== undefined && code === undefined) return problem(outgoing, 409, "CONFLICT", "The code comes before init.");
    state = "loading";
    let file = "";
    try {
      const request = (await readJson(incoming)) as InitRequest;
      await names(request.egress);
      process.chdir(codeFolder); // it was not there when the process started
      file = join(codeFolder, request.entry.file);
      const loaded = await loadFunction(request, file);
      invoke = loaded.handle;
      if (request.limits.concurrency === 1) expectOneAtATime();
      state = "ready";
      becameReady();
      json(outgoing, 200, { importMs: loaded.importMs, kind: loaded.kind });
    } catch (error) {
      state = "failed";
      json(outgoing, 422, await toInitFailure(error, file));
    }
  };
  const platform: RequestListener = (incoming, outgoing) => {
    if (incoming.url === HEALTH_PATH && incoming.method === "GET")
      return json(outgoing, 200, { state, runtime: "node24", protocol: PROTOCOL, ...(code === undefined ? {} : { code }) });
    if (incoming.url === SETTLED_PATH && incoming.method === "GET") {
      const id = incoming.headers[EXCHANGE_HEADER];
      return whenSettled(typeof id === "string" ? id : undefined, () => void outgoing.writeHead(204).end());
    }
    if (incoming.url === INIT_PATH && incoming.method === "POST") return void init(incoming, outgoing);
    if (incoming.url === CODE_PATH && incoming.method === "PUT" && codeBytes !== undefined)
      return void takeCode(incoming, outgoing, codeBytes);
    return problem(outgoing, 404, "NOT_FOUND", "The runtime protocol has no such call.");
  };
  return (incoming, outgoing) => {
    if (incoming.url?.startsWith(PROTOCOL_PREFIX) === true) platform(incoming, outgoing);
    else requestContext.run(new RequestContext(incoming), runHandler, invoke, incoming as never, outgoing as never);
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
