// Namespaces of tenants. Each is made before the tenant's first pod, with all objects that confine the tenant (SECURITY B1, C5).
import { KubernetesObjectApi, PatchStrategy, type KubeConfig, type KubernetesObject } from "@kubernetes/client-node";
import { setTimeout as sleep } from "node:timers/promises";
import { PlatformError } from "../../contract/errors.ts";
import type { Isolation } from "../../contract/names.ts";
import { calling, hasStatus } from "../../cluster/api-error.ts";
import { FIELD_MANAGER, LABELS, tenantNamespace, type Platform } from "../../cluster/labels.ts";
import { holds, toClient, toWire } from "../../cluster/wire.ts";
import { namespace, tenantObjects, type TenantInput } from "./objects/tenant.ts";
import type { WireObject } from "../../cluster/wire.ts";

/** How long to wait until the API server's authorizer has seen the new role binding that lets us make the other objects. */
const RIGHTS_MS = 5_000;
const GONE_MS = 120_000;
const POLL_MS = 50;

export type TenantSettings = Omit<TenantInput, "tenantId" | "floor" | "platform">;

export function createTenants(config: KubeConfig, platform: Platform, settings: TenantSettings) {
  const api = KubernetesObjectApi.makeApiClient(config);
  type Header = { apiVersion: string; kind: string; metadata: { name: string; namespace?: string } };
  const headerOf = ({ apiVersion, kind, metadata }: WireObject): Header => ({
    apiVersion,
    kind,
    metadata: { name: metadata.name, ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }) },
  });

  const read = (object: WireObject): Promise<KubernetesObject | undefined> =>
    calling(
      `read ${object.kind} ${object.metadata.name}`,
      api.read(headerOf(object)).catch((error: unknown) => (hasStatus(error, 404) ? undefined : Promise.reject(error as Error))),
    );

  /** Throws for an object of somebody else: only our label makes an object ours, never its name alone (SECURITY C5). */
  function refuseForeign(object: WireObject, found: KubernetesObject | undefined): void {
    const labels = found?.metadata?.labels ?? {};
    const ours = labels[LABELS.platform] === platform.uid && labels[LABELS.tenant] === object.metadata.labels[LABELS.tenant];
    if (found === undefined || ours) return;
    throw new PlatformError("CONFLICT", `${object.kind} ${object.metadata.name} exists and is not this platform's; it is left as it is.`, {
      hint: `Remove it, or choose another prefix for tenants' namespaces.`,
    });
  }

  async function apply(object: WireObject): Promise<void> {
    for (const end = Date.now() + RIGHTS_MS; ; await sleep(POLL_MS)) {
      try {
        refuseForeign(object, await read(object));
        await calling(
          `apply ${object.kind} ${object.metadata.name}`,
          api.patch(toClient(object), undefined, undefined, FIELD_MANAGER, true, PatchStrategy.ServerSideApply),
        );
        return;
      } catch (error) {
        const early = error instanceof PlatformError && hasStatus(error.cause, 403);
        if (!early || Date.now() > end) throw error;
      }
    }
  }

  /** Checks that the stored objects equal the applied ones, because an admission webhook may have changed them. */
  async function verify(objects: readonly WireObject[]): Promise<void> {
    for (const object of objects) {
      const found = await read(object);
      if (found === undefined || !holds(withoutQuantities(toWire(found)), withoutQuantities(object)))
        throw new PlatformError("SANDBOX_FAILED", `${object.kind} ${object.metadata.name} is not what was applied; no pod is started.`);
    }
  }

  const prepared = new Map<string, Promise<void>>();
  /** A floor is never lowered (SECURITY A2): a caller with a weaker one, because it read the tenant earlier, gets the namespace's. */
  async function floorOf(tenantId: string, asked: Isolation): Promise<Isolation> {
    const object = namespace({ ...settings, platform, tenantId, floor: asked });
    const found = await read(object);
    refuseForeign(object, found);
    return found?.metadata?.labels?.[LABELS.floor] === "kata" ? "kata" : asked;
  }
  async function prepareNow(tenantId: string, asked: Isolation): Promise<void> {
    const input = { ...settings, platform, tenantId, floor: await floorOf(tenantId, asked) };
    const objects = tenantObjects(input);
    await apply(namespace(input));
    for (const object of objects) await apply(object);
    await verify(objects);
  }

  return {
    /** Prepares once for each tenant and floor, and again after a failure. After it was prepared for Kata it stays so for every caller. */
    prepare(tenantId: string, asked: Isolation): Promise<void> {
      const floor = prepared.has(`${tenantId}/kata`) ? "kata" : asked;
      const key = `${tenantId}/${floor}`;
      // Waits for an earlier preparation for gVisor, so that it does not write its floor over the stronger one.
      const before = floor === "kata" ? prepared.get(`${tenantId}/gvisor`) : undefined;
      const known = prepared.get(key) ?? Promise.allSettled([before]).then(() => prepareNow(tenantId, floor));
      prepared.set(key, known);
      known.catch(() => prepared.get(key) === known && prepared.delete(key));
      return known;
    },
    async remove(tenantId: string): Promise<void> {
      for (const key of prepared.keys()) if (key.startsWith(tenantId)) prepared.delete(key);
      const object = namespace({ ...settings, platform, tenantId, floor: "gvisor" });
      const found = await read(object);
      if (found === undefined) return;
      refuseForeign(object, found);
      const uid = found.metadata?.uid;
      const options = { propagationPolicy: "Background", preconditions: { uid: uid ?? "" } };
      await calling(
        `delete namespace ${tenantNamespace(platform, tenantId)}`,
        api.delete(headerOf(object), undefined, undefined, undefined, undefined, undefined, options),
      );
      for (const end = Date.now() + GONE_MS; (await read(object))?.metadata?.uid === uid; await sleep(POLL_MS * 4))
        if (Date.now() > end) throw new PlatformError("UNAVAILABLE", `Namespace ${object.metadata.name} is still being removed.`);
    },
  };
}
/** The API server writes quantities in its own notation ("131072Mi" becomes "128Gi"), so their values are not compared. */
function withoutQuantities(object: object): object {
  return JSON.parse(JSON.stringify(object), (_key, value: unknown) =>
    typeof value === "string" && /^\d+(\.\d+)?(m|k|[KMGT]i?)?$/.test(value) ? "quantity" : value,
  ) as object;
}

export type Tenants = ReturnType<typeof createTenants>;
