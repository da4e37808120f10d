// The objects of a tenant and of a pod are compared with golden files (FNCTL_UPDATE=1 writes them anew), and properties are tested that
// hold for all specs.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CODE_SIZES_MIB, MEMORY_SIZES_MIB } from "../../../contract/limits.ts";
import type { SandboxSpec } from "../../driver.ts";
import type { Platform } from "../../../cluster/labels.ts";
import { instancePod, type Enters } from "./pod.ts";
import { DEFAULT_QUOTA, namespace, tenantObjects } from "./tenant.ts";
import type { WireObject } from "../../../cluster/wire.ts";

const platform: Platform = { uid: "11111111-1111-4111-8111-111111111111", namespace: "fnctl-system", prefix: "fnctl" };
const TENANT = "22222222-2222-4222-8222-222222222222";
const tenant = {
  platform,
  tenantId: TENANT,
  floor: "gvisor",
  podSecurity: "v1.34",
  quota: DEFAULT_QUOTA,
  controlPlaneAccount: "fnctl-control-plane",
  tenantRole: "fnctl-tenant",
} as const;
const SPEC = {
  id: "0123456789abcdef0123",
  kind: "function",
  base: `sha256:${"a".repeat(64)}`,
  isolation: "gvisor",
  memoryMib: 256,
  egress: false,
  epoch: 7,
  tenantId: TENANT,
  codeMib: 16,
} as const;
const pod = (spec: SandboxSpec & { tenantId: string }, enters: Enters = "fully"): WireObject =>
  instancePod({
    platform,
    spec,
    image: `registry.example.com/fnctl/base@${spec.base}`,
    key: "the key",
    certificate: "the certificate",
    egress: spec.egress ? "http://name:credential@10.0.0.1:3128" : undefined,
    enters,
  });

async function golden(name: string, value: unknown): Promise<void> {
  const file = path.join(import.meta.dirname, "golden", `${name}.json`);
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (process.env["FNCTL_UPDATE"] === "1") await writeFile(file, text);
  expect(text, `${name} differs from its golden file; FNCTL_UPDATE=1 writes it anew`).toBe(await readFile(file, "utf8"));
}

describe("golden files", () => {
  test.each<[string, () => unknown]>([
    ["namespace", () => namespace(tenant)],
    ["namespace-elevated", () => namespace({ ...tenant, floor: "kata" })],
    ["tenant", () => tenantObjects(tenant)],
    ["function-gvisor", () => pod(SPEC)],
    ["function-old-base", () => pod(SPEC, "not")],
    ["function-kata", () => pod({ ...SPEC, isolation: "kata", memoryMib: 2048, codeMib: 576, egress: true })],
    ["builder", () => pod({ ...SPEC, kind: "builder", memoryMib: 2048, egress: true })],
  ])("%s", async (name, make) => golden(name, make()));
});

const anySpec = fc.record({
  id: fc.stringMatching(/^[0-9a-f]{20}$/),
  kind: fc.constantFrom("function" as const, "builder" as const),
  base: fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`),
  isolation: fc.constantFrom("gvisor" as const, "kata" as const),
  memoryMib: fc.constantFrom(...MEMORY_SIZES_MIB),
  codeMib: fc.constantFrom(...CODE_SIZES_MIB),
  egress: fc.boolean(),
  epoch: fc.nat(),
  tenantId: fc.uuid(),
});
const mib = (quantity: string): number => Number(/^(\d+)Mi$/.exec(quantity)?.[1]);

test("whatever is asked for, a pod is locked in, says what it is, and its memory holds what is kept in memory", () => {
  fc.assert(
    fc.property(anySpec, fc.constantFrom<Enters>("not", "mounts", "fully"), (spec, enters) => {
      fc.pre(spec.kind === "function" || spec.memoryMib > 1024); // builders have one size
      const object = pod(spec, enters) as any;
      const [box] = object.spec.containers;
      expect(object.metadata.namespace).toBe(`fnctl-${spec.tenantId}`);
      expect(object.metadata.labels["fnctl.dev/tenant"]).toBe(spec.tenantId);
      expect(object.metadata.labels["fnctl.dev/egress"]).toBe(spec.egress ? "true" : undefined);
      expect(object.spec.runtimeClassName).toBe(spec.isolation);
      expect(object.spec.containers).toHaveLength(1);
      expect(box.image.endsWith(`@${spec.base}`)).toBe(true);
      expect(box.env.every((entry: object) => !("valueFrom" in entry))).toBe(true);
      expect(box.resources.requests.memory).toBe(box.resources.limits.memory);
      const mounts = (box.env.find(({ name }: any) => name === "FNCTL_MOUNTS")?.value ?? "").split(" ").filter(Boolean);
      const sizes = [
        ...object.spec.volumes.map((volume: any) => mib(volume.emptyDir.sizeLimit)),
        ...mounts.map((mount: string) => Number(mount.split("=")[1]) / 1024 / 1024),
      ];
      expect(sizes).toHaveLength(3);
      const left = mib(box.resources.limits.memory) - sizes.reduce((sum, size) => sum + size, 0);
      expect(left).toBeGreaterThanOrEqual(spec.kind === "builder" ? 256 : (spec.memoryMib * 5) / 8);
      // In Kata a volume in memory would be as large as the virtual machine, so there must be none.
      if (enters === "fully") expect([object.spec.volumes, box.volumeMounts]).toEqual([[], []]);
      expect(JSON.stringify(object)).not.toMatch(/hostPath|secretKeyRef|"serviceAccountToken"|"privileged"/);
    }),
  );
});
