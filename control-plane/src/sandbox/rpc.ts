// The driver's verbs over a Unix socket: the root process on one side, the control plane on the other (SECURITY I2).
import http from "node:http";
import { Pool } from "undici";
import { z } from "zod";
import { PROBLEM_TYPE, PlatformError, fromProblem, toProblem } from "../contract/errors.ts";
import { isolationSchema, uuidSchema } from "../contract/names.ts";
import { readJson } from "../http/json-body.ts";
import { imageRefSchema, instanceIdSchema, instanceSchema, sandboxSpecSchema, type SandboxDriver } from "./driver.ts";

const REQUEST_CAP = 64 * 1024;
/** `list` of 10,000 instances, about 700 bytes each. */
const ANSWER_CAP = 16 * 1024 * 1024;
/** The slowest verb is a start on a busy machine. */
const CALL_TIMEOUT_MS = 60_000;

const idBody = z.strictObject({ id: instanceIdSchema });
const tenantBody = z.strictObject({ tenantId: uuidSchema });
const loadBody = z.strictObject({ id: instanceIdSchema, image: imageRefSchema });
const describeAnswer = z.object({ name: z.string(), isolations: z.array(isolationSchema) });

type Verb = (body: unknown) => Promise<unknown>;

function verbs(driver: SandboxDriver): Record<string, Verb> {
  return {
    describe: async () => ({ name: driver.name, isolations: driver.isolations }),
    prepareTenant: (body) => driver.prepareTenant(tenantBody.parse(body).tenantId),
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

/** Who may call is decided by the socket's owner and mode, which the composition root sets before listening. */
export function createDriverServer(driver: SandboxDriver, onError: (error: unknown) => void): http.Server {
  const table = new Map(Object.entries(verbs(driver)));
  return http.createServer((request, response) => {
    const answer = (status: number, type: string, body: unknown) =>
      response.writeHead(status, { "content-type": type }).end(JSON.stringify(body ?? null));
    const run = async () => {
      const verb = table.get((request.url ?? "").slice("/v1/".length));
      if (verb === undefined || request.method !== "POST") throw new PlatformError("NOT_FOUND", "No such verb.");
      return verb(await readJson(request, REQUEST_CAP));
    };
    run().then(
      (value) => answer(200, "application/json", value),
      (error: unknown) => {
        const known = error instanceof z.ZodError ? new PlatformError("BAD_REQUEST", z.prettifyError(error)) : error;
        onError(error);
        const problem = toProblem(known);
        answer(problem.status, PROBLEM_TYPE, problem);
      },
    );
  });
}

/** The same interface, spoken over the socket. */
export async function createDriverClient(socketPath: string): Promise<SandboxDriver> {
  const pool = new Pool("http://driver", {
    socketPath,
    connections: 64,
    bodyTimeout: CALL_TIMEOUT_MS,
    headersTimeout: CALL_TIMEOUT_MS,
    maxResponseSize: ANSWER_CAP,
  });
  async function call<T>(verb: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    const answer = await pool
      .request({ path: `/v1/${verb}`, method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } })
      .catch((error: unknown) => {
        throw new PlatformError("UNAVAILABLE", "The sandbox driver does not answer.", { cause: error });
      });
    const value: unknown = await answer.body.json();
    if (answer.statusCode !== 200) throw fromProblem(value);
    return schema.parse(value);
  }
  const nothing = z.null();
  const { name, isolations } = await call("describe", {}, describeAnswer);
  return {
    name,
    isolations,
    prepareTenant: async (tenantId) => void (await call("prepareTenant", { tenantId }, nothing)),
    start: (spec) => call("start", spec, instanceSchema),
    load: (id, image) => call("load", { id, image }, instanceSchema),
    stop: async (id) => void (await call("stop", { id }, nothing)),
    list: () => call("list", {}, z.array(instanceSchema)),
    removeTenant: async (tenantId) => void (await call("removeTenant", { tenantId }, nothing)),
  };
}
