// The simplest way to open code: its entry file exports a Node request handler.
import type { RequestListener } from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { InitRequest } from "../../contract/runtime-protocol.ts";

export async function openModule(codeFolder: string, init: InitRequest): Promise<RequestListener> {
  const module = (await import(pathToFileURL(path.join(codeFolder, init.entry.file)).href)) as { default?: unknown };
  if (typeof module.default !== "function") throw new TypeError("The module has no default export that could be called.");
  return module.default as RequestListener;
}
