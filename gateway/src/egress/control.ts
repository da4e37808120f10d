// The egress proxy's own internal listener: the control plane says which sandbox may go where.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { PROBLEM_TYPE, PlatformError, toProblem } from "@fnctl/control-plane/contract/errors";
import { egressSourceSchema } from "@fnctl/control-plane/contract/internal";
import { createBearerCheck } from "../internal-secret.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import type { SourceRegistry } from "./source-registry.ts";

const SOURCE_PATH = /^\/internal\/v1\/sources\/([A-Za-z0-9_.-]{1,100})$/;

export function createControlServer(deps: { secret: string; registry: SourceRegistry | undefined }): Server {
  const authorised = createBearerCheck(deps.secret);
  return createServer((request, response) => {
    answer(deps.registry, authorised, request, response).catch((error: unknown) => {
      const problem = toProblem(error);
      response.writeHead(problem.status, { "content-type": PROBLEM_TYPE });
      response.end(JSON.stringify(problem));
    });
  });
}

async function answer(
  registry: SourceRegistry | undefined,
  authorised: (header: string | undefined) => boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method === "GET" && request.url === "/healthz") return json(response, 200, { status: "ready", sources: registry?.size ?? 0 });
  if (!authorised(request.headers.authorization)) throw new PlatformError("UNAUTHENTICATED", "The internal secret is missing or wrong.");
  const instance = SOURCE_PATH.exec(request.url ?? "")?.[1];
  if (instance === undefined || registry === undefined) throw new PlatformError("NOT_FOUND", "Nothing is served at this path.");
  switch (request.method) {
    case "PUT":
      return json(response, 200, { folder: await registry.put(instance, await readSource(request)) });
    case "DELETE":
      await registry.remove(instance);
      response.writeHead(204).end();
      return;
    case "GET":
      return describe(registry, instance, response);
    default:
      throw new PlatformError("METHOD_NOT_ALLOWED", "PUT, GET or DELETE.");
  }
}

function describe(registry: SourceRegistry, instance: string, response: ServerResponse): void {
  const source = registry.get(instance);
  if (source === undefined) throw new PlatformError("NOT_FOUND", "No such source.");
  json(response, 200, { ...source.settings, bytes: source.bytes, connections: source.tunnels.size });
}

async function readSource(request: IncomingMessage): Promise<ReturnType<typeof egressSourceSchema.parse>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > EGRESS_LIMITS.controlBodyBytes) throw new PlatformError("PAYLOAD_TOO_LARGE", "The source is too large.");
    chunks.push(chunk);
  }
  const parsed = egressSourceSchema.safeParse(parseJson(Buffer.concat(chunks).toString()));
  if (!parsed.success)
    throw new PlatformError(
      "BAD_REQUEST",
      `The source is not understood: ${parsed.error.issues[0]?.path.join(".")}: ${parsed.error.issues[0]?.message}`,
    );
  return parsed.data;
}
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new PlatformError("BAD_REQUEST", "The body is no JSON.");
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}
