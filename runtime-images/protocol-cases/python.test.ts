import { expect, test } from "vitest";
import { prepareRootfs } from "../base/prepare.ts";
import { runCases } from "./cases.ts";
import { call, init, untilIdle } from "./client.ts";
import { pythonFunctions } from "./functions.ts";
import { findRunsc, startSandbox } from "./runsc.ts";

const cacheDir = process.env["FNCTL_CACHE_DIR"] ?? "/var/cache/fnctl";
const runsc = findRunsc();
if ("path" in runsc) {
  const start = async (): ReturnType<typeof startSandbox> =>
    startSandbox({ runsc: runsc.path, rootfs: await prepareRootfs("python3.13", { cacheDir }) });
  runCases("Python in gVisor", {
    start,
    functions: pythonFunctions,
    runtime: "python3.13",
    kinds: { web: "asgi", lambda: "lambda", classic: "wsgi" },
  });

  test("Python: state of the lifespan reaches requests", async () => {
    const sandbox = await start();
    await untilIdle(sandbox);
    await init(sandbox, pythonFunctions.web);
    expect((await call(sandbox.socket, "/state")).text).toBe("yes");
    await sandbox.stop();
  });
} else {
  test.skip(`Python in gVisor: ${runsc.reason}`, () => undefined);
}
