// The registry store runs the suite of all image stores against real registries: one without the referrers API, the same with the referrers
// API added in front, and an old one.
import { it } from "vitest";
import { describeStore, type StoreHarness } from "@fnctl/control-plane/images/store-conformance";
import { createStoreAt } from "./harness.ts";
import { startReferrersFront } from "./referrers-front.ts";
import { onPath, startRegistry, type RegistryOptions } from "./registry-process.ts";

async function harness(
  options: RegistryOptions,
  front: (host: string) => Promise<{ host: string; close(): Promise<void> }>,
): Promise<StoreHarness> {
  const registry = await startRegistry(options);
  const before = await front(registry.host);
  const place = await createStoreAt();
  const reopen = () => place.open(before.host);
  const close = async () => void (await Promise.all([before.close(), registry.close(), place.close()]));
  return { store: reopen(), reopen, close };
}
const bare = async (host: string) => ({ host, close: async () => {} });

describeStore("distribution 3", () => harness({}, bare));
describeStore("distribution 3 with the referrers API", () => harness({}, (host) => startReferrersFront(host, { page: 2 })));
describeStore("distribution 3 with a referrers API that does not filter", () =>
  harness({}, (host) => startReferrersFront(host, { filters: false })),
);
if (onPath("docker-registry"))
  describeStore("distribution 2.8", () => harness({ program: "docker-registry" }, bare), { removesDigestsOnly: true });
else it.skip("distribution 2.8 store: needs Debian's package docker-registry, which this machine cannot have", () => {});
