// The driver's record of a sandbox, in a file, so that a restarted driver knows all existing sandboxes.
import { renameSync, writeFileSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { z } from "zod";
import { sandboxSchema } from "../driver.ts";
import type { RunscLayout } from "./layout.ts";

const recordSchema = z.object({
  instance: sandboxSchema,
  uid: z.int(),
  cgroupsPath: z.string(),
  pid: z.int().optional(),
  ticks: z.string().optional(),
});
export type InstanceRecord = z.infer<typeof recordSchema>;

/**
 * Writes atomically: a reader after a crash never sees half a record. It is synchronous on purpose: the folder is in memory (tmpfs), so
 * this takes 0.1 ms, while two turns of the thread pool in every cold start took over 1 ms.
 */
export function saveRecord(layout: RunscLayout, record: InstanceRecord): void {
  const file = layout.instance(record.instance.id).meta;
  writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Every sandbox folder, with its record if it has one; a folder without a record is left from a broken start. */
export async function readRecords(layout: RunscLayout): Promise<{ id: string; record: InstanceRecord | undefined }[]> {
  const ids = await readdir(layout.instances).catch(() => []);
  return Promise.all(
    ids.map(async (id) => {
      const text = await readFile(layout.instance(id).meta, "utf8").catch(() => "");
      const parsed = recordSchema.safeParse(text === "" ? undefined : JSON.parse(text));
      return { id, record: parsed.success ? parsed.data : undefined };
    }),
  );
}
