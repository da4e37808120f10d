// What the driver remembers of an instance, on disk, so that a restarted driver knows all that exists.
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
 * Whole or not at all: a reader after a crash never sees half a record. Not asynchronous on purpose: the folder is in memory (tmpfs), so
 * this takes 0.1 ms, and two turns of the thread pool in every cold start took over 1 ms.
 */
export function saveRecord(layout: RunscLayout, record: InstanceRecord): void {
  const file = layout.instance(record.instance.id).meta;
  writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Every instance folder, with its record if it got one: a folder without one is the rest of a broken start. */
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
