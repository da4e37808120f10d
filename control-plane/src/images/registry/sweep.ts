// Removes unused tags from a repository of a registry, and artifacts whose subject is gone.
import type { UsedImages } from "../layout-store.ts";
import { livingWith } from "../artifact.ts";
import type { References } from "./references.ts";
import { subjectOf, type createReferrers } from "./referrers.ts";

type Referrers = Pick<ReturnType<typeof createReferrers>, "attachedTo" | "drop">;

export function createRegistrySweep(references: References, referrers: Referrers) {
  /**
   * Digests that lost a tag and whose artifacts may have to go. Those that an earlier process noted are left to the registry's garbage
   * collection.
   */
  const unnamed = new Map<string, Set<string>>();
  const unnamedIn = (repository: string) => unnamed.get(repository) ?? unnamed.set(repository, new Set()).get(repository)!;
  const listTags = async (repository: string) => (await references.list(repository)).filter((tag) => subjectOf(tag) === undefined);

  async function removeUnused(repository: string, tags: readonly string[], before: number, { references: kept, manifests }: UsedImages) {
    let removed = 0;
    for (const tag of tags) {
      if (kept.has(tag) || references.usedSince(repository, tag, before)) continue;
      const digest = await references.digestOf(repository, tag);
      if (digest === undefined || manifests.has(digest)) continue;
      await references.remove(repository, tag);
      unnamedIn(repository).add(digest);
      removed++;
    }
    return removed;
  }

  /** Removes the artifacts that are attached to those of `digests` that are no longer used. */
  async function removeAttached(
    repository: string,
    digests: readonly string[],
    subjects: readonly string[],
    manifests: ReadonlySet<string>,
  ) {
    const roots = new Set(manifests);
    for (const tag of await listTags(repository)) {
      const digest = await references.digestOf(repository, tag);
      if (digest !== undefined) roots.add(digest);
    }
    const living = livingWith(roots, await referrers.attachedTo(repository, subjects));
    for (const digest of digests) {
      if (!living.has(digest)) await referrers.drop(repository, digest, living);
      unnamedIn(repository).delete(digest);
    }
  }

  async function remove(repository: string, reference: string): Promise<void> {
    const digest = await references.digestOf(repository, reference);
    if (digest === undefined) return;
    await references.remove(repository, reference);
    unnamedIn(repository).add(digest);
  }

  /** Resolves with the number of removed tags. `before`: milliseconds since the epoch. */
  async function sweep(repository: string, before: number, used: () => Promise<UsedImages>): Promise<number> {
    const seen = await references.list(repository);
    const inUse = await used();
    const subjects = seen.map(subjectOf).filter((subject) => subject !== undefined);
    const tags = seen.filter((tag) => subjectOf(tag) === undefined);
    const removed = await removeUnused(repository, tags, before, inUse);
    const doubtful = [...unnamedIn(repository), ...subjects].filter((digest) => !inUse.manifests.has(digest));
    if (doubtful.length > 0) await removeAttached(repository, doubtful, subjects, inUse.manifests);
    return removed;
  }
  return { remove, sweep };
}
