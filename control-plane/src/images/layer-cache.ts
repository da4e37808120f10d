// Unpacked layers on this machine, `<tenant>/<hex of diff_id>`: a cache of what the image store holds, per tenant.
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { MEDIA, type Descriptor } from "./oci.ts";
import { LAYER_ROOT, canonicalLayer } from "./layer.ts";
import type { ImageStore } from "./layout-store.ts";

export function createLayerCache(root: string, store: ImageStore) {
  const place = (tenantId: string, diffId: string) => path.join(root, tenantId, diffId.slice("sha256:".length));

  async function unpack(tenantId: string, source: Readable): Promise<Descriptor> {
    await mkdir(path.join(root, tenantId), { recursive: true });
    const draft = path.join(root, tenantId, `draft-${randomUUID()}`);
    await mkdir(path.join(draft, LAYER_ROOT), { recursive: true });
    try {
      const descriptor = await store.putBlob(tenantId, MEDIA.layer, canonicalLayer(source, draft));
      await rename(draft, place(tenantId, descriptor.digest)).catch(ignoreExisting);
      return descriptor;
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  return {
    /** Stores a freshly built layer and unpacks it; the descriptor's digest is its diff_id, because it is not compressed. */
    add: unpack,
    /** Makes sure the layer is unpacked; after the cache was emptied it comes from the image store again. */
    async ensure(tenantId: string, diffId: string): Promise<void> {
      const known = await stat(place(tenantId, diffId)).catch(() => undefined);
      if (known === undefined) await unpack(tenantId, store.readBlob(tenantId, diffId));
    },
  };
}
export type LayerCache = ReturnType<typeof createLayerCache>;

/** Another build of the same bytes was first: the same folder. */
function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
}
