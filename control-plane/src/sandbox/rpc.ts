// Calls to the driver's methods over a Unix socket: the root process serves them, and the control plane calls them (SECURITY I2).
import http from "node:http";
import { z } from "zod";
import { PlatformError } from "../contract/errors.ts";
import { isolationSchema, uuidSchema } from "../contract/names.ts";
import { createCaller } from "../service/http/call.ts";
import { readJson } from "../service/http/json-body.ts";
import { serveJson } from "../service/http/serve.ts";
import {
  imageRefSchema,
  instanceIdSchema,
  sandboxSchema,
  sandboxSpecSchema,
  settledLoads,
  type ImageRef,
  type SandboxDriver,
} from "./driver.ts";

const REQUEST_CAP = 64 * 1024;
/** Enough for a `list` of 10,000 sandboxes, about 700 bytes each. */
const ANSWER_CAP = 16 * 1024 * 1024;
/** Enough for the slowest call, a start on a busy machine. */
const CALL_TIMEOUT_MS = 60_000;
const CONNECTIONS = 64;

const idBody = z.strictObject({ id: instanceIdSchema });
const tenantBody = z.strictObject({ tenantId: uuidSchema });
const loadBody = z.strictObject({ id: instanceIdSchema, image: imageRefSchema });
const describeAnswer = z.object({ name: z.string(), isolations: z.array(isolationSchema) });

type Verb = (body: unknown) => Promise<unknown>;

function verbs(driver: SandboxDriver): Record<string, Verb> {
  return {
    describe: async () => ({ name: driver.name, isolations: driver.isolations }),
    start: (body) => driver.start(sandboxSpecSchema.parse(body)),
    load: (body) => {
      const { id, image } = loadBody.parse(body);
      return driver.load(id, image);
    },
    stop: (body) => driver.stop(idBody.parse(body).id),
    list: () => driver.list(),
    removeTenant: (body) => driver.removeTenant(tenantBody.parse(body).tenantId),
  };
}

/** Checks no caller: the socket's owner and mode, which are set before it listens, decide which processes may call. */
export function createDriverServer(driver: SandboxDriver, onError: (error: unknown) => void): http.Server {
  const table = new Map(Object.entries(verbs(driver)));
  return http.createServer(
    serveJson(async (request) => {
      const verb = table.get((request.url ?? "").slice("/v1/".length));
      if (verb === undefined || request.method !== "POST") throw new PlatformError("NOT_FOUND", "No such verb.");
      return { body: (await verb(await readJson(request, REQUEST_CAP))) ?? null };
    }, onError),
  );
}

/** A SandboxDriver whose calls go over the socket. */
export async function createDriverClient(socketPath: string): Promise<SandboxDriver> {
  const { ask } = createCaller({
    dial: { origin: "http://driver", connect: { socketPath } },
    who: "The sandbox driver",
    connections: CONNECTIONS,
    timeoutMs: CALL_TIMEOUT_MS,
    answerCap: ANSWER_CAP,
  });
  const call = <T extends z.ZodType>(verb: string, body: unknown, schema: T): Promise<z.infer<T>> =>
    ask({ method: "POST", path: `/v1/${verb}`, body }, schema);
  const nothing = z.null();
  const load = (id: string, image: ImageRef) => call("load", { id, image }, sandboxSchema);
  const { name, isolations } = await call("describe", {}, describeAnswer);
  return {
    name,
    isolations,
    start: (spec) => call("start", spec, sandboxSchema),
    load,
    ...settledLoads(load),
    stop: async (id) => void (await call("stop", { id }, nothing)),
    list: () => call("list", {}, z.array(sandboxSchema)),
    removeTenant: async (tenantId) => void (await call("removeTenant", { tenantId }, nothing)),
  };
}
