// A function that runs any code that a test sends it, inside the sandbox; for tests of the isolation.
import type { Sandbox } from "../../driver.ts";
import { ask } from "../../testing/ask.ts";

/** POST runs its body as that of an async function, with `fs`, `net`, `os`, `cp` and `dgram`, and answers the result as JSON. */
export const PROBE = `
  import * as fs from "node:fs"; import * as net from "node:net"; import * as os from "node:os";
  import * as cp from "node:child_process"; import * as dgram from "node:dgram";
  const AsyncFunction = (async () => {}).constructor;
  const code = (error) => error.code ?? error.name + ": " + error.message;
  const attempt = (work) => { try { return work() ?? "done"; } catch (error) { return code(error); } };
  export default (request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk)).on("end", async () => {
      const run = new AsyncFunction("fs", "net", "os", "cp", "dgram", "attempt", body || "return 'alive'");
      const result = await run(fs, net, os, cp, dgram, attempt).catch((error) => ({ threw: code(error) }));
      response.end(JSON.stringify(result ?? null));
    });
  };`;

/** Runs `code` in the sandbox and returns what it returns. */
export async function inside<T>(instance: Sandbox, code = "", timeoutMs?: number): Promise<T> {
  const answer = await ask(instance, "/", { method: "POST", body: code, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  if (answer.status !== 200) throw new Error(`The probe answered ${answer.status}: ${answer.text}`);
  return JSON.parse(answer.text) as T;
}
