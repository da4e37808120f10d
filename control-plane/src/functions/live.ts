// Decides which version `live` points at. It moves forward in the order in which versions were accepted, or when a client sets it; a
// version that was accepted before the last decision and is finished after it does not undo it.
import { and, eq, sql } from "drizzle-orm";
import { PlatformError } from "../contract/errors.ts";
import type { Unit } from "../db/change.ts";
import { alias, fn } from "../db/schema.ts";
import type { TenantTransaction } from "../db/tenant-database.ts";
import type { FunctionRow } from "./resources.ts";

interface Decision {
  tenantId: string;
  functionId: string;
  versionId: string;
  /** The newest version that had been accepted when this was decided. */
  decided: number;
}

/** Moves `live` and tells the change feed. The transaction must hold the function's row (`holdFunction`). */
export async function pointLive({ tx, tell }: Unit, { tenantId, functionId, versionId, decided }: Decision): Promise<void> {
  await tx
    .insert(alias)
    .values({ tenantId, functionId, name: "live", versionId, decided })
    .onConflictDoUpdate({ target: [alias.tenantId, alias.functionId, alias.name], set: { versionId, decided } });
  await tx
    .update(fn)
    .set({ revision: sql`${fn.revision} + 1` })
    .where(and(eq(fn.tenantId, tenantId), eq(fn.id, functionId)));
  tell({ kind: "function", id: functionId });
  tell({ kind: "version", id: versionId });
}

/** Locks and returns the function's row until the transaction ends, so that decisions about one function are made one after the other. */
export async function holdFunction(tx: TenantTransaction, tenantId: string, functionId: string): Promise<FunctionRow | undefined> {
  const [row] = await tx
    .select()
    .from(fn)
    .where(and(eq(fn.tenantId, tenantId), eq(fn.id, functionId)))
    .for("update");
  return row;
}

/** Makes a version live whose build is done. Returns undefined when it is live now, otherwise the reason why not. */
export async function promote(
  unit: Unit,
  tenantId: string,
  version: { functionId: string; id: string; number: number },
): Promise<PlatformError | undefined> {
  const { tx } = unit;
  const { functionId, id: versionId, number } = version;
  if ((await holdFunction(tx, tenantId, functionId)) === undefined) return undefined; // the function was removed, and its version too
  const [known] = await tx
    .select({ decided: alias.decided })
    .from(alias)
    .where(and(eq(alias.tenantId, tenantId), eq(alias.functionId, functionId), eq(alias.name, "live")));
  if (known !== undefined && known.decided >= number) {
    return new PlatformError("SUPERSEDED", `Version ${number} is ready, but what is live was decided after it was deployed.`, {
      hint: `To serve it all the same: fnctl rollback NAME ${number}`,
    });
  }
  await pointLive(unit, { tenantId, functionId, versionId, decided: number });
  return undefined;
}
