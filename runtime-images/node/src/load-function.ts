// Imports the user's code and turns its handler into one of Node's requests. Knows nothing of sockets, so that a later snapshot can be taken
// between this and listening (DESIGN section 6).
import { pathToFileURL } from "node:url";
import { userStack } from "./failures.ts";
import { findHandler, type Found } from "./handler-kind.ts";
import type { InitRequest } from "./protocol.ts";
import { proxyVariables } from "./proxy-variables.ts";
import type { Handle } from "./running.ts";
import { serveFetch } from "./serve-fetch.ts";
import { serveLambda } from "./serve-lambda.ts";
import { serveListener } from "./serve-listener.ts";
import { nameSourcesInStacks } from "./source-positions.ts";
import { EndedWhileLoading, watchLoad } from "./watch-load.ts";

const STACK_CHARACTERS = 16_000;

export interface LoadedFunction {
  kind: string;
  importMs: number;
  handle: Handle;
}

/** `file`: absolute path of the entry. Rejects with whatever the user's module throws; `toInitFailure` makes it readable. */
export async function loadFunction(init: InitRequest, file: string): Promise<LoadedFunction> {
  Object.assign(process.env, proxyVariables(init.egress), init.env, {
    FNCTL_TENANT: init.tenant,
    FNCTL_FUNCTION: init.function,
    FNCTL_VERSION: String(init.version),
  });
  nameSourcesInStacks();
  const started = performance.now();
  const found = await watchLoad(async () =>
    findHandler((await import(pathToFileURL(file).href)) as Record<string, unknown>, init.entry.name),
  );
  return { kind: found.kind, importMs: performance.now() - started, handle: toHandle(found, init) };
}

function toHandle(found: Found, init: InitRequest): Handle {
  switch (found.kind) {
    case "fetch":
      return serveFetch(found.handler);
    case "listener":
      return serveListener(found.handler);
    case "lambda":
      return serveLambda(found.handler, { function: init.function, version: String(init.version), memoryMib: init.limits.memoryMib });
  }
}

/** The 422 body: the user's own message and frames. */
export async function toInitFailure(error: unknown, file: string): Promise<{ message: string; stack?: string }> {
  if (!(error instanceof Error)) return { message: `The module threw ${String(error)}, which is not an Error.` };
  const stack = error instanceof SyntaxError ? ((await syntaxErrorPlace(file)) ?? error.stack) : error.stack;
  const message = error instanceof EndedWhileLoading ? error.message : `${error.name}: ${error.message}`;
  return { message, stack: userStack(stack ?? "").slice(0, STACK_CHARACTERS) };
}

/** An imported module's SyntaxError does not say where it is; `node --check` does. Undefined when that file is not the broken one. */
async function syntaxErrorPlace(file: string): Promise<string | undefined> {
  const { spawn } = await import("node:child_process");
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--check", file], { stdio: ["ignore", "ignore", "pipe"] });
    let text = "";
    child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.on("error", () => resolve(undefined));
    child.on("close", (code) => resolve(code === 0 || text === "" ? undefined : text.replace(/\nNode\.js v[\d.]+\s*$/, "").trim()));
  });
}
