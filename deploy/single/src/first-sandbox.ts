// Waits for a first sandbox before the platform counts as ready: where no sandbox can start, the operator should see why instead of failing
// deploys.
import { readFile } from "node:fs/promises";
import { Client } from "undici";
import { z } from "zod";

const POLL_MS = 50;
const LIMIT_MS = 30_000;
const statusSchema = z.object({ pool: z.record(z.string(), z.number()) });
const logLine = z.object({ err: z.object({ message: z.string() }) });

/** Resolves when the control plane's pool holds a sandbox; `driverLog` is where the driver says why none started. */
export async function waitForSandbox(controlSocket: string, secret: string, driverLog: string): Promise<void> {
  const client = new Client("http://control", { socketPath: controlSocket });
  const known = (await failures(driverLog)).length;
  const end = Date.now() + LIMIT_MS;
  try {
    for (;;) {
      const answer = await client.request({ method: "GET", path: "/internal/v1/status", headers: { authorization: `Bearer ${secret}` } });
      const { pool } = statusSchema.parse(await answer.body.json());
      if (Object.values(pool).some((count) => count > 0)) return;
      const reason = (await failures(driverLog)).slice(known).at(-1);
      if (reason !== undefined || Date.now() > end)
        throw new Error(`No sandbox starts on this machine: ${reason ?? "none was ready in time"}\nAll of it: ${driverLog}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    await client.close();
  }
}

/** Error messages in the driver's log, oldest first. */
async function failures(file: string): Promise<string[]> {
  const lines = (await readFile(file, "utf8").catch(() => "")).split("\n");
  return lines.flatMap((line) => {
    const parsed = logLine.safeParse(line.startsWith("{") ? JSON.parse(line) : undefined);
    return parsed.success ? [parsed.data.err.message] : [];
  });
}
