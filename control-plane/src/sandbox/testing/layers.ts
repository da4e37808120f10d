// Unpacked layers as the control plane's cache leaves them; for tests.
import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { SANDBOX_PATHS } from "../../contract/runtime-protocol.ts";
import type { ImageRef } from "../driver.ts";

/** Writes `files` as the code of a new layer and returns the reference of a version that has it. */
export async function placeLayer(layersDir: string, tenantId: string, files: Record<string, string>): Promise<ImageRef> {
  const layer = randomBytes(32).toString("hex");
  const folder = path.join(layersDir, tenantId, layer, SANDBOX_PATHS.code);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), text);
  }
  const ids = { tenantId, functionId: randomUUID(), versionId: randomUUID(), version: 1 };
  return { ...ids, configHash: "0".repeat(64), layer: `sha256:${layer}` };
}
