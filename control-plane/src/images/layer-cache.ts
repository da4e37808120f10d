// Unpacked layers on this machine, `<tenant>/<hex of diff_id>`: a cache of the image store's layers, separate for each tenant.
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { PlatformError } from "../contract/errors.ts";
import { MEDIA, type Descriptor } from "./oci.ts";
import { removeOlder, touch } from "../service/remove-older.ts";
import { LAYER_ROOT } from "./layer-lint.ts";
import { canonicalLayer } from "./layer.ts";
import type { ImageStore } from "./layout-store.ts";

export function createLayerCache(root: string, store: ImageStore) {
  const place = (tenantId: string, diffId: string) => path.join(root, tenantId, diffId.slice("sha256:".length));

  async function unpack(tenantId: string, source: Readable): Promise<Descriptor> {
    await mkdir(path.join(root, tenantId), { recursive: true });
    const draft = path.join(root, tenantId, `draft-${randomUUID()}`);
    await mkdir(path.join(draft, LAYER_ROOT), { recursive: true });
    try {
      const descriptor = await store.putBlob(tenantId, MEDIA.layer, canonicalLayer(source, draft));
      await rename(draft, place(tenantId, descriptor.digest)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
        return touch(place(tenantId, descriptor.digest)); // another build has placed the same bytes first
      });
      return descriptor;
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  const coming = new Map<string, Promise<void>>();
  async function restore(tenantId: string, diffId: string): Promise<void> {
    const { digest } = await unpack(tenantId, store.readBlob(tenantId, diffId));
    if (digest !== diffId) throw new PlatformError("INTERNAL", `The stored layer ${diffId} has other bytes: ${digest}.`);
  }

  return {
    /** Stores a freshly built layer and unpacks it; the descriptor's digest is its diff_id, because it is not compressed. */
    add: unpack,
    /** Makes sure the layer is unpacked; after the cache was emptied it comes from the image store again. */
    async ensure(tenantId: string, diffId: string): Promise<void> {
      const folder = place(tenantId, diffId);
      const known = await stat(folder).catch(() => undefined);
      if (known !== undefined) return;
      // Many instances of one version may start at once: the first start unpacks the layer, and the others wait for that.
      const work = coming.get(folder) ?? restore(tenantId, diffId).finally(() => coming.delete(folder));
      coming.set(folder, work);
      await work;
    },
    /** Removes unpacked layers that are not in `used` and were not touched since `before`, and half-made folders that a crash left. */
    sweep: (tenantId: string, before: number, used: ReadonlySet<string>): Promise<number> =>
      removeOlder(path.join(root, tenantId), before, (name) => !used.has(`sha256:${name}`)),
  };
}
export type LayerCache = ReturnType<typeof createLayerCache>;
