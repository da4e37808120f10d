// Lists of referrers from a registry that lies about what is attached to a digest; honest registries are tested in deploy/test/registry.
import { expect, test } from "vitest";
import type { RegistryClient } from "./client.ts";
import type { References } from "./references.ts";
import { createReferrers, type ReferrersDeps } from "./referrers.ts";
import { createRegistrySweep } from "./sweep.ts";

test("a list of referrers that leads in a circle is removed once, not for ever", async () => {
  const [one, other] = ["a", "b"].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string];
  const erased: string[] = [];
  const index = (digest: string) => ({
    schemaVersion: 2,
    manifests: [{ mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: 2 }],
  });
  const referrers = createReferrers({
    client: { path: (repository: string) => repository } as RegistryClient,
    documents: {
      async *pages(first: string) {
        if (erased.length > 10) throw new Error("for ever");
        erased.push("look");
        yield { statusCode: 200, headers: {}, bytes: Buffer.from(JSON.stringify(index(first.includes(one) ? other : one))) };
      },
    },
    references: {
      erase: async (_repository: string, digest: string) => void erased.push(digest),
      remove: async () => undefined,
    },
  } as unknown as ReferrersDeps);
  await referrers.drop("tenant", one, new Set());
  expect(erased).toEqual(["look", "look", other]);
});

test("what a list of something dead names, and lives, is left alone; the rest goes", async () => {
  const [dead, tagged, used, attached, stale] = ["a", "b", "c", "d", "e"].map((digit) => `sha256:${digit.repeat(64)}`) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const lists: Record<string, string[]> = { [dead]: [tagged, used, attached, stale], [tagged]: [attached] };
  const tags = new Map([["v1", tagged], ...Object.keys(lists).map((subject) => [subject.replace(":", "-"), "sha256:list"] as const)]);
  const erased: string[] = [];
  const references = {
    list: async () => [...tags.keys()],
    digestOf: async (_repository: string, tag: string) => tags.get(tag),
    erase: async (_repository: string, digest: string) => void erased.push(digest),
    remove: async (_repository: string, tag: string) => void tags.delete(tag),
    usedSince: () => false,
  } as unknown as References;
  const referrers = createReferrers({
    client: { path: (repository: string) => repository } as RegistryClient,
    documents: {
      async *pages(first: string) {
        const named = lists[first.slice(first.indexOf("sha256:"))] ?? [];
        const manifests = named.map((digest) => ({ mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: 2 }));
        yield { statusCode: 200, headers: {}, bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })) };
      },
    },
    references,
  } as unknown as ReferrersDeps);
  const inUse = { references: new Set(["v1"]), manifests: new Set([used]) };
  await createRegistrySweep(references, referrers).sweep("tenant", Date.now(), async () => inUse);
  expect(erased).toEqual([stale]);
  expect([...tags.keys()]).toEqual(["v1", tagged.replace(":", "-")]);
});
