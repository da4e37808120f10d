// A gateway gives instances back: idle ones are kept for the next request or stopped, broken ones are stopped and noted as failures.
import type { z } from "zod";
import type { releaseRequestSchema } from "../../contract/internal.ts";
import type { Ends } from "./ends.ts";
import type { Instance, InstanceTable } from "./instance-table.ts";

type Request = z.infer<typeof releaseRequestSchema>;
/** Reasons that say nothing against the instance. */
const HEALTHY: ReadonlySet<Request["leases"][number]["reason"]> = new Set(["idle", "recalled", "drain"]);

/** `keep`: whether an idle instance stays. Resolves with the reasons why instances that the holder found broken have ended. */
export async function releaseLeases(
  { table, ends }: { table: InstanceTable; ends: Ends },
  request: Request,
  keep: (instance: Instance) => boolean,
): Promise<{ leaseId: string; reason: string; detail: string }[]> {
  // The leases are looked up first, because instances that are found to have ended leave the table meanwhile.
  const held = request.leases.flatMap(({ leaseId, reason, detail }) => {
    const instance = table.ofLease(leaseId);
    return instance?.lease?.holder === request.holder ? [{ reason, detail, instance }] : [];
  });
  await ends.noticed(held.filter(({ reason }) => reason === "broken").map(({ instance }) => instance));
  const ended = request.leases.flatMap(({ leaseId }) => {
    const why = ends.reasonOf(leaseId, request.holder);
    return why === undefined ? [] : [{ leaseId, ...why }];
  });
  for (const { reason, detail, instance } of held) {
    if (instance.state !== "ready") continue; // its end was noticed already, and it is being stopped
    const healthy = HEALTHY.has(reason);
    if (!healthy) ends.noteFailure(instance, { reason, detail: detail ?? "" });
    table.lease(instance, undefined);
    // A gateway that ends waits for its requests, and not for handlers whose clients have left.
    if (reason === "drain") instance.unsettled = true;
    if (!healthy || instance.unfit === true || (reason === "idle" && !keep(instance))) void ends.stop(instance);
  }
  return ended;
}
