// Whether a class of sandboxes is available, by its RuntimeClass and the nodes that the API server shows.
import type { V1Node, V1RuntimeClass } from "@kubernetes/client-node";
import { expect, test } from "vitest";
import { judgeIsolation } from "./isolations.ts";
import { mibOf } from "./objects/folders.ts";

const classWith = (podFixed: Record<string, string>): V1RuntimeClass => ({
  handler: "kata",
  overhead: { podFixed },
  scheduling: { nodeSelector: { "fnctl.dev/sandbox": "kata" } },
});
const CLASS = classWith({ cpu: "100m", memory: "320Mi" });
const node = (label: string, ready: "True" | "False" = "True", unschedulable = false): V1Node => ({
  metadata: { labels: { "fnctl.dev/sandbox": label } },
  spec: { unschedulable },
  status: { conditions: [{ type: "Ready", status: ready }] },
});

test.each<[string, V1RuntimeClass | undefined, V1Node[], object]>([
  ["a class and a node for it", CLASS, [node("gvisor"), node("kata")], { available: true, overheadMib: 320 }],
  ["a class without overhead", classWith({}), [node("kata")], { available: true, overheadMib: 0 }],
  ["no class", undefined, [node("kata")], { available: false, missing: "the RuntimeClass kata" }],
  ["no node", CLASS, [node("gvisor")], { available: false, missing: "a ready node labelled fnctl.dev/sandbox=kata" }],
  ["a node that is not ready", CLASS, [node("kata", "False")], { available: false }],
  ["a node that takes no pods", CLASS, [node("kata", "True", true)], { available: false }],
])("%s", (_what, found, nodes, finding) => {
  expect(judgeIsolation("kata", found, nodes)).toMatchObject(finding);
});

test.each([
  ["160Mi", 160],
  ["1Gi", 1024],
  ["1.5Gi", 1536],
  ["134217728", 128],
  ["200M", 190],
  ["65536Ki", 64],
  ["0", 0],
  ["1e9", 0], // not understood, so it counts as no accounted memory
  ["-1Mi", 0],
  ["", 0],
])("a quantity of memory: %s", (quantity, mib) => {
  expect(mibOf(quantity)).toBe(mib);
});
