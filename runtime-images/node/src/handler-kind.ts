// Finds the handler in an imported module and says what kind it is. The rules, in order:
//  1. the export: the configured name, else `default`, `app`, `handler`; when `default` is a CommonJS `module.exports` object, also in it;
//  2. an object or function with a `fetch` function is a web-standard app (Hono, itty-router, Elysia, Workers style);
//  3. an Express, Connect, Koa, Fastify app or a node:http Server is a listener;
//  4. any other function exported under a name that ends in `handler` is Lambda style, whatever its arity;
//  5. any other function: two or more declared parameters make it a Node listener `(req, res)`, fewer a `(request) => Response`.
//     A `(request, context) => Response` function is therefore exported as `{ fetch }`.
import { Server, type RequestListener } from "node:http";

export type FetchHandler = (request: Request, ...context: unknown[]) => Response | Promise<Response>;
export type LambdaHandler = (event: unknown, context: unknown, callback?: (error: unknown, result?: unknown) => void) => unknown;
export type Found =
  | { kind: "fetch"; handler: FetchHandler }
  | { kind: "listener"; handler: RequestListener }
  | { kind: "lambda"; handler: LambdaHandler };

type Namespace = Record<string, unknown>;
// oxlint-disable-next-line typescript/no-unsafe-function-type -- what users export is of any shape
type AnyFunction = Function & Record<string, unknown>;
const USUAL_NAMES = ["default", "app", "handler"];

/** Throws an error for the function's owner when there is nothing to call. */
export async function findHandler(module: Namespace, name?: string): Promise<Found> {
  const names = name === undefined ? USUAL_NAMES : [name];
  const scopes = [module, ...(isObject(module["default"]) ? [module["default"] as Namespace] : [])];
  for (const scope of scopes) {
    for (const candidate of names) {
      const found = await classify(scope[candidate], candidate);
      if (found !== undefined) return found;
    }
  }
  const exported = Object.keys(module).join(", ") || "nothing";
  throw new Error(
    name === undefined
      ? `The module exports no handler: expected a default export, \`app\` or \`handler\`; it exports ${exported}.`
      : `The module has no handler named \`${name}\`; it exports ${exported}.`,
  );
}

async function classify(value: unknown, name: string): Promise<Found | undefined> {
  if (typeof value !== "function" && !isObject(value)) return undefined;
  const object = value as AnyFunction;
  if (typeof object["fetch"] === "function") {
    const fetch = object["fetch"] as FetchHandler;
    return { kind: "fetch", handler: (request, ...context) => fetch.call(object, request, ...context) };
  }
  const listener = await frameworkListener(object);
  if (listener !== undefined) return { kind: "listener", handler: listener };
  if (typeof value !== "function") return undefined;
  if (/handler$/i.test(name)) return { kind: "lambda", handler: value as LambdaHandler };
  return value.length >= 2 ? { kind: "listener", handler: value as RequestListener } : { kind: "fetch", handler: value as FetchHandler };
}

async function frameworkListener(app: AnyFunction): Promise<RequestListener | undefined> {
  if (app instanceof Server) return (incoming, outgoing) => void app.emit("request", incoming, outgoing);
  if (typeof app === "function")
    return typeof app["handle"] === "function" && typeof app["use"] === "function" ? (app as unknown as RequestListener) : undefined;
  if (typeof app["ready"] === "function" && typeof app["routing"] === "function") {
    await (app["ready"] as () => Promise<unknown>)();
    return (app["routing"] as RequestListener).bind(app);
  }
  if (typeof app["callback"] === "function" && typeof app["use"] === "function") return (app["callback"] as () => RequestListener)();
  return undefined;
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
