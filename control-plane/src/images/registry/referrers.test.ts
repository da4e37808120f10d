// What a registry says is attached to what, where it says what no honest one does; the honest ones are in deploy/test/registry.
import { expect, test } from "vitest";
import type { RegistryClient } from "./client.ts";
import { createReferrers, type ReferrersDeps } from "./referrers.ts";

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
  await referrers.drop("tenant", one);
  expect(erased).toEqual(["look", "look", other]);
});
