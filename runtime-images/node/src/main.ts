// Start of the Node runtime inside a sandbox: idle until `init`, then the user's function. See README.md beside this folder.
import { drainOnSigterm } from "./end-on-sigterm.ts";
import { describe } from "./failures.ts";
import { createInstance } from "./instance.ts";
import { listen } from "./listen.ts";
import { captureOutput } from "./log-capture.ts";
import { startNames } from "./names.ts";
import { takePodSettings } from "./pod.ts";
import { CODE_FOLDER, SOCKET_PATH } from "./protocol.ts";
import { RequestContext, requestContext } from "./request-context.ts";
import { onlyRequestAt } from "./running.ts";
import { rehearse } from "./rehearse.ts";
import { warmFetch } from "./serve-fetch.ts";
import { EndedWhileLoading } from "./watch-load.ts";

const output = captureOutput();

// One failed promise can leave the function in any state: say it and end; the platform reports the crash and starts another instance.
// A handler of the user's own takes the decision over.
process.on("uncaughtException", (error) => {
  if (!(error instanceof EndedWhileLoading)) output.log("error", describe(error));
  if (process.listenerCount("uncaughtException") === 1) process.exit(1);
});

// Paths differ only where the bootstrap runs outside a sandbox (`fnctl dev`, tests).
const socketPath = process.env["FNCTL_SOCKET"] ?? SOCKET_PATH;
const pod = takePodSettings(process.env);
const codeFolder = process.env["FNCTL_CODE"] ?? CODE_FOLDER;

/** What was refused is told with the request that asked for it, if that is known: the only one that ran then. */
function sayOfNames(line: string, at: number): void {
  const incoming = onlyRequestAt(at);
  const say = (): void => output.log("warn", line);
  if (incoming === undefined) say();
  else requestContext.run(new RequestContext(incoming), say);
}
const names = startNames(pod?.egress, sayOfNames);
warmFetch();
// Only time is lost when it fails, e.g. where there is no folder for temporary files.
await rehearse((folder) => createInstance(folder, pod?.codeBytes), pod !== undefined).catch((error: unknown) =>
  output.log("warn", `The rehearsal failed: ${describe(error)}`),
);
const server = await listen(
  pod ?? socketPath,
  createInstance(codeFolder, pod?.codeBytes, () => drainOnSigterm(() => server.drain(() => process.exit(0))), names),
);
