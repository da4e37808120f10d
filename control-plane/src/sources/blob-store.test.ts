// Sources on a real Postgres: each is stored completely or not at all, is seen by its own tenant only, and counts towards that tenant's
// cap.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createPool } from "../db/pools.ts";
import { createTenantDatabase } from "../db/tenant-database.ts";
import { sha256 } from "../service/digest.ts";
import { by } from "../../../deploy/test/src/build-platform.ts";
import { A, B, openTwoTenants } from "../../../deploy/test/src/two-tenants.ts";
import { createBlobStore } from "./blob-store.ts";

const MIB = 1024 * 1024;
let database: Awaited<ReturnType<typeof openTwoTenants>>;
let pool: pg.Pool;
let folder: string;
let blobs: ReturnType<typeof createBlobStore>;

beforeAll(async () => {
  database = await openTwoTenants();
  pool = createPool(database.postgres.url("app"), () => undefined, 8);
  folder = await mkdtemp(path.join(tmpdir(), "spool-"));
  blobs = createBlobStore(createTenantDatabase(pool), folder, { sourceBytes: 4 * MIB });
});
beforeEach(() => database.admin.query("DELETE FROM blob"));
afterAll(async () => {
  await pool.end();
  await rm(folder, { recursive: true });
  await database.close();
});

const bytesOf = (size: number, seed: string) => Buffer.alloc(size, seed);
const put = (tenant: string, bytes: Buffer, digest = sha256(bytes)) => blobs.put(by(tenant), digest, Readable.from([bytes]));

describe("an archive", () => {
  test.each([1, MIB, MIB + 1])("of %d bytes comes back as it was, and is its tenant's own", async (size) => {
    const bytes = bytesOf(size, "a");
    await put(A, bytes);
    await put(A, bytes); // a second time changes nothing
    expect(await buffer(blobs.read(A, sha256(bytes)))).toEqual(bytes);
    expect([await blobs.has(by(A), sha256(bytes)), await blobs.has(by(B), sha256(bytes))]).toEqual([true, false]);
    expect(await buffer(blobs.read(B, sha256(bytes)))).toEqual(Buffer.alloc(0));
  });

  test("of other bytes than were promised, or broken off, leaves nothing", async () => {
    const bytes = bytesOf(10, "b");
    await expect(put(A, bytes, sha256(bytesOf(10, "c")))).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    const broken = Readable.from(
      (async function* () {
        yield bytes;
        throw new Error("gone");
      })(),
    );
    await expect(blobs.put(by(A), sha256(bytes), broken)).rejects.toThrow("gone");
    expect((await database.admin.query("SELECT FROM blob")).rowCount).toBe(0);
    expect(await readdir(folder)).toEqual([]);
  });

  test("takes the place of what was used longest ago when the cap is reached, and never of what is being sent", async () => {
    const [first, second, third] = ["1", "2", "3"].map((seed) => bytesOf(2 * MIB, seed)) as [Buffer, Buffer, Buffer];
    await put(A, first);
    await put(A, second);
    expect(await blobs.has(by(A), sha256(first))).toBe(true); // counts as a use of the first source
    await put(A, third);
    expect(await Promise.all([first, second, third].map((bytes) => blobs.has(by(A), sha256(bytes))))).toEqual([true, false, true]);
    await expect(put(A, bytesOf(4 * MIB + 1, "4"))).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    await put(B, bytesOf(4 * MIB, "5")); // exactly the cap, which another tenant's sources do not reduce
    expect(await blobs.has(by(A), sha256(third))).toBe(true);
  });
});
