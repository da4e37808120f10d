// The egress proxy's internal listener, by which the control plane sets what each sandbox may reach.
import { createServer, type IncomingMessage, type Server } from "node:http";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { egressSourceSchema } from "@fnctl/control-plane/contract/internal";
import { createBearerCheck } from "@fnctl/control-plane/service/http/authorised";
import { readJson } from "@fnctl/control-plane/service/http/json-body";
import { serveJson, type Reply } from "@fnctl/control-plane/service/http/serve";
import { EGRESS_LIMITS } from "./limits.ts";
import type { SourceRegistry } from "./source-registry.ts";

const SOURCE_PATH = /^\/internal\/v1\/sources\/([A-Za-z0-9_.-]{1,100})$/;

export function createControlServer(deps: { secret: string; registry: SourceRegistry | undefined }): Server {
  const authorised = createBearerCheck(deps.secret);
  const { registry } = deps;
  return createServer(
    serveJson((request) => {
      if (request.method === "GET" && request.url === "/healthz") return { body: { status: "ready", sources: registry?.size ?? 0 } };
      if (!authorised(request)) throw new PlatformError("UNAUTHENTICATED", "The internal secret is missing or wrong.");
      if (request.method === "GET" && request.url === "/internal/v1/sources") return { body: { sources: registry?.list() ?? [] } };
      const instance = SOURCE_PATH.exec(request.url ?? "")?.[1];
      if (instance === undefined || registry === undefined) throw new PlatformError("NOT_FOUND", "Nothing is served at this path.");
      return source(registry, instance, request);
    }),
  );
}

async function source(registry: SourceRegistry, instance: string, request: IncomingMessage): Promise<Reply> {
  switch (request.method) {
    case "PUT":
      return {
        body: { folder: await registry.put(instance, egressSourceSchema.parse(await readJson(request, EGRESS_LIMITS.controlBodyBytes))) },
      };
    case "DELETE":
      await registry.remove(instance);
      return {};
    case "GET":
      return { body: describe(registry, instance) };
    default:
      throw new PlatformError("METHOD_NOT_ALLOWED", "PUT, GET or DELETE.");
  }
}

function describe(registry: SourceRegistry, instance: string): object {
  const found = registry.get(instance);
  if (found === undefined) throw new PlatformError("NOT_FOUND", "No such source.");
  return { ...found.settings, bytes: found.bytes, connections: found.tunnels.size };
}
