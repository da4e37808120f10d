// What goes from a repository of a registry: tags that nothing uses, and artifacts whose subject is gone.
import type { UsedImages } from "../layout-store.ts";
import { livingWith } from "../artifact.ts";
import type { References } from "./references.ts";
import { subjectOf, type createReferrers } from "./referrers.ts";

type Referrers = Pick<ReturnType<typeof createReferrers>, "attachedTo" | "drop">;

export function createRegistrySweep(references: References, referrers: Referrers) {
  /** Removes tags; says which are left and which digests lost one. */
  async function removeUnused(repository: string, tags: readonly string[], before: number, { references: kept, manifests }: UsedImages) {
    const left: string[] = [];
    const lost = new Set<string>();
    for (const tag of tags) {
      const digest =
        kept.has(tag) || references.usedSince(repository, tag, before) ? undefined : await references.digestOf(repository, tag);
      if (digest === undefined || manifests.has(digest)) {
        left.push(tag);
        continue;
      }
      await references.remove(repository, tag);
      lost.add(digest);
    }
    return { left, lost };
  }

  /** Resolves with how many tags went. `before`: milliseconds since the epoch. */
  return async function sweep(repository: string, before: number, used: () => Promise<UsedImages>): Promise<number> {
    const seen = await references.list(repository);
    const inUse = await used();
    const subjects = seen.map(subjectOf).filter((subject) => subject !== undefined);
    const tags = seen.filter((tag) => subjectOf(tag) === undefined);
    const { left, lost } = await removeUnused(repository, tags, before, inUse);
    const asked = [...lost, ...subjects].filter((digest) => !inUse.manifests.has(digest));
    if (asked.length > 0) {
      const roots = new Set(inUse.manifests);
      for (const tag of left) roots.add((await references.digestOf(repository, tag)) ?? "");
      const living = livingWith(roots, await referrers.attachedTo(repository, subjects));
      for (const digest of asked) if (!living.has(digest)) await referrers.drop(repository, digest);
    }
    return tags.length - left.length;
  };
}
