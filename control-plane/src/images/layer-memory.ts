// Code layers on their way to pods: small ones are kept in memory for the next instance, large ones are streamed from the store.
import type { Readable } from "node:stream";
import { Readable as Stream } from "node:stream";
import type { ImageStore } from "./layout-store.ts";

const MIB = 1024 * 1024;
/** The most bytes kept of all layers together, and of a single layer. */
const KEPT_BYTES = 64 * MIB;
const ONE_BYTES = 8 * MIB;

export interface LayerSource {
  /** Size of the uncompressed tar. */
  bytes: number;
  open(): Readable;
}

export function createLayerMemory(store: ImageStore) {
  /** Keyed by tenant and digest, so that one tenant never gets a layer because another tenant has it. The least recently used is first. */
  const kept = new Map<string, Buffer>();
  let total = 0;

  function keep(key: string, bytes: Buffer): void {
    kept.set(key, bytes);
    total += bytes.length;
    for (const [oldest, old] of kept) {
      if (total <= KEPT_BYTES) break;
      kept.delete(oldest);
      total -= old.length;
    }
  }
  return {
    /** Throws NOT_FOUND for a layer that the tenant does not have. */
    async get(tenantId: string, digest: string): Promise<LayerSource> {
      const key = `${tenantId}/${digest}`;
      const known = kept.get(key);
      if (known !== undefined) {
        kept.delete(key);
        kept.set(key, known);
        return { bytes: known.length, open: () => Stream.from([known]) };
      }
      const size = await store.blobSize(tenantId, digest);
      if (size > ONE_BYTES) return { bytes: size, open: () => store.readBlob(tenantId, digest) };
      const bytes = Buffer.concat(await store.readBlob(tenantId, digest).toArray());
      if (!kept.has(key)) keep(key, bytes);
      return { bytes: bytes.length, open: () => Stream.from([bytes]) };
    },
  };
}
