// Runs builds as the platform does for a tenant: in the real builder sandbox, and then the built layer in a fresh sandbox of its runtime.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import tar from "tar-stream";
import { entrySchema, type BuilderEvent } from "@fnctl/control-plane/contract/runtime-protocol";
import { cacheDir, findRunsc } from "../base/find-runsc.ts";
import { prepareRootfs, type RootfsName } from "../base/prepare.ts";
import { placeLayer, type Build } from "./builder-client.ts";
import { call, untilIdle } from "./client.ts";
import { startSandbox, type Sandbox } from "./runsc.ts";

const UUID = "0190a000-0000-7000-8000-000000000000";
const runsc = findRunsc();
export const { binary } = runsc;
const { missing } = runsc;
export const suite =
  missing === undefined ? describe : (title: string, _body: () => void): void => test.skip(`${title}: ${missing}`, () => undefined);

export async function entries(layer: Buffer): Promise<Array<{ name: string; type: string; mode: number; facts: string }>> {
  const found: Array<{ name: string; type: string; mode: number; facts: string }> = [];
  const extract = tar.extract();
  Readable.from([layer]).pipe(extract);
  for await (const entry of extract) {
    const { name, type, mode, uid, gid, mtime, uname, gname } = entry.header;
    found.push({
      name: name.replace(/\/$/, ""),
      type: type ?? "",
      mode: mode ?? 0,
      facts: `${uid} ${gid} ${mtime?.getTime()} ${uname}${gname}`,
    });
    entry.resume();
  }
  return found;
}

/** Loads a built layer into a fresh sandbox of its runtime. */
export async function run(built: Build, runtime: RootfsName, body: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  expect(built.events.filter((event) => event.type === "failed")).toEqual([]);
  const done = built.last as Extract<BuilderEvent, { type: "done" }>;
  const sandbox = await startSandbox({ runsc: binary, rootfs: await prepareRootfs(runtime, { cacheDir: cacheDir() }) });
  try {
    await untilIdle(sandbox);
    await placeLayer(built.layer as Buffer, sandbox.code);
    expect(entrySchema.parse(JSON.parse(await readFile(join(sandbox.code, ".fnctl/entry.json"), "utf8")))).toEqual(done.entry);
    const limits = { timeoutMs: 30_000, memoryMib: 256, concurrency: 10 };
    const reply = await call(sandbox.socket, "/.fnctl/v1/init", {
      body: JSON.stringify({
        tenantId: UUID,
        tenant: "acme",
        functionId: UUID,
        function: "case",
        versionId: UUID,
        version: 1,
        entry: done.entry,
        env: {},
        limits,
      }),
    });
    expect(reply).toMatchObject({ status: 200 });
    await body(sandbox);
  } finally {
    await sandbox.stop();
  }
}
