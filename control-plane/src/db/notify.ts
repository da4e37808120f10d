// Tells the change feed that something of a tenant changed. NOTIFY is part of the transaction: listeners hear it only after the commit, and
// never after a rollback (PostgreSQL manual, NOTIFY).
import { sql } from "drizzle-orm";
import { z } from "zod";
import type { TenantTransaction } from "./tenant-database.ts";

export const CHANNEL = "fnctl_change";
export const noticeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("function"), id: z.uuid() }),
  z.object({ kind: z.literal("token"), id: z.uuid() }),
  z.object({ kind: z.literal("build"), id: z.uuid() }),
  z.object({ kind: z.literal("tenant"), id: z.uuid() }),
  /** The tenant's own rules for what its functions may reach. */
  z.object({ kind: z.literal("egress"), id: z.uuid() }),
  /** A version whose image is there now, or that is live now. */
  z.object({ kind: z.literal("version"), id: z.uuid() }),
]);
export type Notice = z.infer<typeof noticeSchema>;

export async function notify(tx: Pick<TenantTransaction, "execute">, notice: Notice): Promise<void> {
  await tx.execute(sql`SELECT pg_notify(${CHANNEL}, ${JSON.stringify(notice)})`);
}
