// Functions, versions and the live alias: the queries of the management API, always as one tenant.
import { and, asc, desc, eq, gt, inArray, lt, sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import { DEFAULT_CAPS, type TenantCaps } from "../contract/tenant-caps.ts";
import { toStorable } from "../contract/text.ts";
import { PLATFORM, type Caller } from "../db/change.ts";
import { once, type OnceKey } from "../db/once.ts";
import { alias, build, fn, instanceFailure, version } from "../db/schema.ts";
import type { TenantDatabase, TenantTransaction } from "../db/tenant-database.ts";
import { lockCaps } from "../accounts/caps.ts";
import { refuseMoreMinimum } from "./caps.ts";
import { holdFunction, pointLive } from "./live.ts";
import { acceptVersion, type NewVersion } from "./new-version.ts";
import type { BuildRow, FunctionFacts, FunctionRow, VersionRow } from "./resources.ts";

const missing = (what: string) => new PlatformError("NOT_FOUND", `There is no ${what}.`);

const newestState = sql<VersionRow["state"] | null>`(SELECT v.state FROM ${version} v
  WHERE v.tenant_id = ${fn.tenantId} AND v.function_id = ${fn.id} ORDER BY v.number DESC LIMIT 1)`;

/** What a version's image is called in its tenant's repository. */
export const imageReference = (functionName: string, number: number): string => `${functionName}-v${number}`;

/** Number of characters of a failure's detail that are kept. */
const FAILURE_DETAIL = 4000;

export function createFunctionStore(db: TenantDatabase, caps: TenantCaps = DEFAULT_CAPS) {
  const selectWithLive = (tx: TenantTransaction, tenantId: string) =>
    tx
      .select({ row: fn, live: version, newest: newestState })
      .from(fn)
      .leftJoin(alias, and(eq(alias.tenantId, fn.tenantId), eq(alias.functionId, fn.id), eq(alias.name, "live")))
      .leftJoin(version, and(eq(version.tenantId, fn.tenantId), eq(version.id, alias.versionId)))
      .where(eq(fn.tenantId, tenantId))
      .$dynamic();

  async function find(tx: TenantTransaction, tenantId: string, name: string): Promise<FunctionRow> {
    const [row] = await tx
      .select()
      .from(fn)
      .where(and(eq(fn.tenantId, tenantId), eq(fn.name, name)));
    if (row === undefined) throw missing(`function ${name}`);
    return row;
  }

  return {
    async list(tenantId: string, after: string | undefined, limit: number): Promise<FunctionFacts[]> {
      const rows = await db.read(tenantId, (tx) =>
        selectWithLive(tx, tenantId)
          .where(and(eq(fn.tenantId, tenantId), after === undefined ? undefined : gt(fn.name, after)))
          .orderBy(asc(fn.name))
          .limit(limit),
      );
      return rows.map(present);
    },

    async get(tenantId: string, name: string): Promise<FunctionFacts> {
      const [found] = await db.read(tenantId, (tx) =>
        selectWithLive(tx, tenantId).where(and(eq(fn.tenantId, tenantId), eq(fn.name, name))),
      );
      if (found === undefined) throw missing(`function ${name}`);
      return present(found);
    },

    async lastFailure(tenantId: string, functionId: string) {
      const [row] = await db.read(tenantId, (tx) =>
        tx
          .select()
          .from(instanceFailure)
          .where(and(eq(instanceFailure.tenantId, tenantId), eq(instanceFailure.functionId, functionId))),
      );
      return row;
    },

    /** Replaces the function's former failure; nothing is kept for a function that was removed meanwhile. */
    async keepFailure(tenantId: string, functionId: string, failure: { reason: string; detail: string; version: number }): Promise<void> {
      const caller = { tenantId, actor: PLATFORM };
      const row = { ...failure, tenantId, functionId, at: new Date(), detail: toStorable(failure.detail.slice(0, FAILURE_DETAIL)) };
      const target = [instanceFailure.tenantId, instanceFailure.functionId];
      await db.change(caller, "function.failure", async ({ tx }) => {
        const own = and(eq(fn.tenantId, tenantId), eq(fn.id, functionId));
        const owner = await tx.select({ id: fn.id }).from(fn).where(own).for("key share");
        if (owner.length > 0) await tx.insert(instanceFailure).values(row).onConflictDoUpdate({ target, set: row });
      });
    },

    /** Creates the function if it is new, a version, a queued build and the stored answer in one transaction; once for each key. */
    createVersion: <T>(
      caller: Caller,
      name: string,
      input: NewVersion,
      { once: key, answer }: { once?: OnceKey | undefined; answer: (made: Awaited<ReturnType<typeof acceptVersion>>) => T },
    ): Promise<T> =>
      db.change(caller, "version.create", (unit) =>
        once(unit, caller.tenantId, key, async () => answer(await acceptVersion(unit, { tenantId: caller.tenantId, name }, input, caps))),
      ),

    async versions(
      tenantId: string,
      name: string,
      before: number | undefined,
      limit: number,
    ): Promise<{ version: VersionRow; build: BuildRow; live: boolean }[]> {
      return db.read(tenantId, async (tx) => {
        const owner = await find(tx, tenantId, name);
        const rows = await tx
          .select({ version, build, liveId: alias.versionId })
          .from(version)
          .innerJoin(build, and(eq(build.tenantId, version.tenantId), eq(build.versionId, version.id)))
          .leftJoin(alias, and(eq(alias.tenantId, version.tenantId), eq(alias.functionId, version.functionId), eq(alias.name, "live")))
          .where(
            and(
              eq(version.tenantId, tenantId),
              eq(version.functionId, owner.id),
              before === undefined ? undefined : lt(version.number, before),
            ),
          )
          .orderBy(desc(version.number))
          .limit(limit);
        return rows.map((row) => ({ version: row.version, build: row.build, live: row.liveId === row.version.id }));
      });
    },

    /** Points `live` at a version. `ifMatch` is the function's ETag as the caller read it. */
    async setLive(caller: Caller, name: string, number: number, ifMatch?: string): Promise<void> {
      const { tenantId } = caller;
      await db.change(caller, "function.live", async (unit) => {
        const { tx } = unit;
        const known = await find(tx, tenantId, name);
        await lockCaps(tx, tenantId);
        const owner = (await holdFunction(tx, tenantId, known.id)) ?? known;
        if (ifMatch !== undefined && ifMatch !== `"${owner.revision}"`)
          throw new PlatformError("PRECONDITION_FAILED", "The function was changed by someone else.", { hint: "Read it again." });
        const [target] = await tx
          .select()
          .from(version)
          .where(and(eq(version.tenantId, tenantId), eq(version.functionId, owner.id), eq(version.number, number)));
        if (target === undefined) throw missing(`version ${number}`);
        if (target.state !== "ready")
          throw new PlatformError("CONFLICT", `Version ${number} is ${target.state}.`, {
            hint: "Choose a version that is ready: fnctl versions.",
          });
        await refuseMoreMinimum(tx, tenantId, { functionId: owner.id, config: target.config }, caps);
        await pointLive(unit, { tenantId, functionId: owner.id, versionId: target.id, decided: owner.nextVersion - 1 });
      });
    },

    /** Every function there is, whatever its versions. */
    async ids(tenantId: string): Promise<Set<string>> {
      const rows = await db.read(tenantId, (tx) => tx.select({ id: fn.id }).from(fn).where(eq(fn.tenantId, tenantId)));
      return new Set(rows.map(({ id }) => id));
    },

    /** The tenant's images and layers that are in use, by versions that are ready or may become ready. */
    async used(tenantId: string): Promise<{ references: Set<string>; manifests: Set<string>; layers: Set<string> }> {
      const rows = await db.read(tenantId, (tx) =>
        tx
          .select({ name: fn.name, number: version.number, image: version.imageDigest, layer: version.layerDiffId })
          .from(version)
          .innerJoin(fn, and(eq(fn.tenantId, version.tenantId), eq(fn.id, version.functionId)))
          .where(and(eq(version.tenantId, tenantId), inArray(version.state, ["ready", "building"]))),
      );
      const some = (values: (string | null)[]) => new Set(values.filter((value) => value !== null));
      return {
        references: new Set(rows.map(({ name, number }) => imageReference(name, number))),
        manifests: some(rows.map(({ image }) => image)),
        layers: some(rows.map(({ layer }) => layer)),
      };
    },

    async remove(caller: Caller, name: string): Promise<{ functionId: string; versions: number[] }> {
      const { tenantId } = caller;
      return db.change(caller, "function.remove", async ({ tx, tell }) => {
        const owner = await find(tx, tenantId, name);
        const rows = await tx
          .select({ number: version.number })
          .from(version)
          .where(and(eq(version.tenantId, tenantId), eq(version.functionId, owner.id)));
        await tx.delete(fn).where(and(eq(fn.tenantId, tenantId), eq(fn.id, owner.id)));
        tell({ kind: "function", id: owner.id });
        return { functionId: owner.id, versions: rows.map((row) => row.number) };
      });
    },
  };
}
export type FunctionStore = ReturnType<typeof createFunctionStore>;

const present = ({
  row,
  live,
  newest,
}: {
  row: FunctionRow;
  live: VersionRow | null;
  newest: VersionRow["state"] | null;
}): FunctionFacts => ({
  row,
  live: live ?? undefined,
  newest: newest ?? undefined,
});
