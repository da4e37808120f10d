import { expect, test } from "vitest";
import { cacheDir, findRunsc } from "../base/find-runsc.ts";
import { prepareRootfs } from "../base/prepare.ts";
import { runCases } from "./cases.ts";
import { call, eventually, init, records, untilIdle } from "./client.ts";
import { pythonFunctions } from "./python-functions.ts";
import { startSandbox } from "./runsc.ts";

const { binary, missing } = findRunsc();
if (missing === undefined) {
  const start = async (): ReturnType<typeof startSandbox> =>
    startSandbox({ runsc: binary, rootfs: await prepareRootfs("python3.13", { cacheDir: cacheDir() }) });
  runCases("Python in gVisor", {
    start,
    functions: pythonFunctions,
    runtime: "python3.13",
    kinds: { web: "asgi", lambda: "lambda", classic: "wsgi" },
    raises: "web",
  });

  test("Python: state of the lifespan reaches requests", async () => {
    const sandbox = await start();
    await untilIdle(sandbox);
    await init(sandbox, pythonFunctions.web);
    expect((await call(sandbox.socket, "/state")).text).toBe("yes");
    await sandbox.stop();
  });

  test("Python: an answer that is not whole when the app returns is cut, and the log says so", async () => {
    const sandbox = await start();
    await untilIdle(sandbox);
    await init(sandbox, pythonFunctions.web);
    await expect(call(sandbox.socket, "/late-end", { headers: { "x-request-id": "late-end-1" } })).rejects.toThrow();
    const record = await eventually(() => records(sandbox).find((line) => line.r === "late-end-1"), "the log");
    expect(record).toMatchObject({ l: "error", m: "The app returned before its answer was whole." });
    await sandbox.stop();
  });
} else {
  test.skip(`Python in gVisor: ${missing}`, () => undefined);
}
