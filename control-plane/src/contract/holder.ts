// Names of lease holders. A holder is one process of a gateway; its name says which gateway it is of and when it began, so that whoever sees a
// process end, and knows no more than that, can tell whose leases are void.
import { randomBytes } from "node:crypto";
import { z } from "zod";

/** What starts the gateway chooses it, a new one for each place where one process runs after another: a supervisor's run, a pod's UID. */
export const gatewayIdSchema = z.string().regex(/^[a-z0-9-]{1,40}$/);

/** At most 64 characters. */
export const holderName = (gateway: string, startedAt = Date.now()): string => `${gateway}.${startedAt}.${randomBytes(4).toString("hex")}`;

/** Undefined for a name of another form. */
export function readHolder(holder: string): { gateway: string; startedAt: number } | undefined {
  const [, gateway = "", startedAt = ""] = /^([a-z0-9-]{1,40})\.(\d{1,15})\.[0-9a-f]{8}$/.exec(holder) ?? [];
  return gateway === "" ? undefined : { gateway, startedAt: Number(startedAt) };
}

/**
 * A process of this gateway has ended: those who saw it report it. `before`: it had begun before this time, in milliseconds since the epoch, on
 * the clock of its own machine; absent: every process of that name.
 */
export const gatewayEndedSchema = z.strictObject({ gateway: gatewayIdSchema, before: z.int().optional() });
export type GatewayEnded = z.infer<typeof gatewayEndedSchema>;
