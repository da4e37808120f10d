// Source archives, content-addressed and separate for each tenant, so that a tenant cannot find out whether another has the same bytes.
import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { open, rm } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { and, asc, eq, gt, inArray, lt, ne, notExists, sql, sum } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import { LIMITS } from "../contract/limits.ts";
import { DEFAULT_CAPS, type TenantCaps } from "../contract/tenant-caps.ts";
import { blob, blobChunk, version } from "../db/schema.ts";
import { lockCaps } from "../accounts/caps.ts";
import { DigestMeter } from "../service/digest.ts";
import { removeOlder } from "../service/remove-older.ts";
import { createFairQueue } from "../service/fair-queue.ts";
import type { TenantDatabase, TenantTransaction } from "../db/tenant-database.ts";
import { PLATFORM, type Caller } from "../db/change.ts";

/** Bytes in one row; the table refuses more. */
const CHUNK_BYTES = 1024 * 1024;

/** Uploads under way, each of which may put a whole archive into the spool folder; further uploads wait, unread, for their turn. */
const UPLOADS = { parallel: 32, perOwner: 4, mostWaiting: 32 } as const;

export function createBlobStore(db: TenantDatabase, spoolFolder: string, caps: Pick<TenantCaps, "sourceBytes"> = DEFAULT_CAPS) {
  const queue = createFairQueue(UPLOADS);

  /** Writes the upload to disk first, because a slow client must not hold a transaction open. */
  async function spool(source: Readable, file: string): Promise<string> {
    const meter = new DigestMeter();
    const through = meter.through({ bytes: LIMITS.sourceArchiveBytes, error: tooLarge });
    await pipeline(source, through, createWriteStream(file, { mode: 0o600 }));
    return meter.digest();
  }

  async function put(caller: Caller, digest: string, source: Readable): Promise<void> {
    const file = path.join(spoolFolder, `upload-${randomUUID()}`);
    try {
      const actual = await spool(source, file);
      if (actual !== digest) throw new PlatformError("DIGEST_MISMATCH", `The bytes have the digest ${actual}.`);
      await db.change(caller, "source.upload", ({ tx }) => keep(tx, caller.tenantId, digest, file));
    } finally {
      await rm(file, { force: true });
    }
  }
  async function keep(tx: TenantTransaction, tenantId: string, digest: string, file: string): Promise<void> {
    const handle = await open(file);
    try {
      const { size } = await handle.stat();
      const fresh = await tx.insert(blob).values({ tenantId, digest, size }).onConflictDoNothing().returning();
      if (fresh.length === 0) return await touch(tx, tenantId, digest); // the tenant has stored it already
      for (let index = 0; index * CHUNK_BYTES < size; index++) {
        const data = Buffer.alloc(Math.min(CHUNK_BYTES, size - index * CHUNK_BYTES));
        await handle.read(data, 0, data.length, index * CHUNK_BYTES);
        await tx.insert(blobChunk).values({ tenantId, digest, index, data });
      }
    } finally {
      await handle.close();
    }
    // Last, because its lock makes the tenant's other transactions wait until this one ends.
    await makeRoom(tx, tenantId, digest, caps.sourceBytes);
  }

  return {
    /** Whether the tenant has the source. If so, the source stays at least for the sweep's grace period. */
    async has(caller: Caller, digest: string): Promise<boolean> {
      const rows = await db.change(caller, "source.use", ({ tx }) => seen(tx, caller.tenantId, digest));
      return rows.length === 1;
    },

    /**
     * Stores the stream under `digest`, completely or not at all. Throws DIGEST_MISMATCH, PAYLOAD_TOO_LARGE, QUOTA_EXCEEDED, or, before a
     * byte is read, RATE_LIMITED.
     */
    put: (caller: Caller, digest: string, source: Readable): Promise<void> =>
      queue.run({ owner: caller.tenantId, urgent: true }, () => put(caller, digest, source)),

    /** Removes sources that no ready version and no version being built comes from and that were not used since `before`. */
    async sweep(tenantId: string, before: Date): Promise<number> {
      const wanted = and(
        eq(version.tenantId, blob.tenantId),
        eq(version.sourceDigest, blob.digest),
        inArray(version.state, ["ready", "building"]),
      );
      const rows = await db.change({ tenantId, actor: PLATFORM }, "source.sweep", ({ tx }) =>
        tx
          .delete(blob)
          .where(
            and(eq(blob.tenantId, tenantId), lt(blob.seenAt, before), notExists(tx.select({ id: version.id }).from(version).where(wanted))),
          )
          .returning({ digest: blob.digest }),
      );
      return rows.length;
    },

    /** Removes uploads that a process left half done. */
    sweepSpool: (before: number) => removeOlder(spoolFolder, before, (name) => name.startsWith("upload-")),

    /** Streams the blob, one row at a time; each row is its own short transaction. */
    read(tenantId: string, digest: string): Readable {
      async function* chunks() {
        for (let after = -1; ;) {
          const [row] = await db.read(tenantId, (tx) =>
            tx
              .select()
              .from(blobChunk)
              .where(and(eq(blobChunk.tenantId, tenantId), eq(blobChunk.digest, digest), gt(blobChunk.index, after)))
              .orderBy(asc(blobChunk.index))
              .limit(1),
          );
          if (row === undefined) return;
          yield row.data;
          after = row.index;
        }
      }
      return Readable.from(chunks());
    },
  };
}
export type BlobStore = ReturnType<typeof createBlobStore>;

/**
 * Deletes sources above the tenant's cap, those that were used longest ago first, because a source is needed for its build only. The new
 * source and sources of versions being built stay.
 */
async function makeRoom(tx: TenantTransaction, tenantId: string, fresh: string, cap: number): Promise<void> {
  await lockCaps(tx, tenantId);
  const [kept] = await tx
    .select({ bytes: sum(blob.size) })
    .from(blob)
    .where(eq(blob.tenantId, tenantId));
  let surplus = Number(kept?.bytes ?? 0) - cap;
  if (surplus <= 0) return;
  const building = and(eq(version.tenantId, blob.tenantId), eq(version.sourceDigest, blob.digest), eq(version.state, "building"));
  const spare = await tx
    .select({ digest: blob.digest, size: blob.size })
    .from(blob)
    .where(and(eq(blob.tenantId, tenantId), ne(blob.digest, fresh), notExists(tx.select({ id: version.id }).from(version).where(building))))
    .orderBy(asc(blob.seenAt));
  for (const { digest, size } of spare) {
    if (surplus <= 0) break;
    await tx.delete(blob).where(and(eq(blob.tenantId, tenantId), eq(blob.digest, digest)));
    surplus -= size;
  }
  if (surplus > 0)
    throw new PlatformError("QUOTA_EXCEEDED", `A tenant's sources may have ${cap} bytes in all.`, {
      hint: "Wait until versions that are being built are done, or send a smaller archive.",
    });
}

const seen = (tx: TenantTransaction, tenantId: string, digest: string) =>
  tx
    .update(blob)
    .set({ seenAt: sql`now()` })
    .where(and(eq(blob.tenantId, tenantId), eq(blob.digest, digest)))
    .returning({ digest: blob.digest });

async function touch(tx: TenantTransaction, tenantId: string, digest: string): Promise<void> {
  if ((await seen(tx, tenantId, digest)).length === 0)
    throw new PlatformError("UNAVAILABLE", "The archive was removed while it was being sent.", { hint: "Send it again." });
}

function tooLarge(): PlatformError {
  return new PlatformError("PAYLOAD_TOO_LARGE", `A source archive has at most ${LIMITS.sourceArchiveBytes / 1024 ** 2} MiB.`, {
    hint: "List large files that the function does not need in .fnctlignore.",
  });
}
