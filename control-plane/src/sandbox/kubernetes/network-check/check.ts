// The active check that the cluster's network keeps sandboxes in (SECURITY B3, B4): real sandboxes of two tenants that exist for this
// alone, started by the driver like any other, try to reach what they must not. Until it has succeeded, no tenant's pod is started.
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import tar from "tar-stream";
import { Client } from "undici";
import { z } from "zod";
import type { Condition } from "../../../contract/conditions.ts";
import { PlatformError } from "../../../contract/errors.ts";
import { dialOf, type Address } from "../../../contract/instance-address.ts";
import { PROTOCOL_PATHS } from "../../../contract/runtime-protocol.ts";
import { newInstanceId } from "../../../ids/uuid7.ts";
import type { ImageRef, Instance, SandboxDriver } from "../../driver.ts";
import type { Layer } from "../send-code.ts";
import { probe } from "./probe.ts";
import { judge, targetsOf, type ClusterFacts } from "./targets.ts";
import { createVerdict } from "./verdict.ts";

/** Two tenants that nobody is. */
const TENANTS = ["00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b"] as const;
const NOBODY = "00000000-0000-7000-8000-000000000000";
const PROBE_MS = 2_000;
const ANSWER_MS = 30_000;

export interface NetworkCheckOptions {
  driver: SandboxDriver;
  /** Base image of the probes: a Node runtime. */
  base: string;
  epoch: number;
  /** What is where; the sandboxes' own addresses are added here. */
  facts(): Promise<Omit<ClusterFacts, "otherTenant" | "sameTenant">>;
  /** See `VerdictOptions`. */
  before: Condition | undefined;
  keep(condition: Condition): void;
  onError(error: unknown): void;
}

export const isProbeTenant = (tenantId: string | undefined): boolean => (TENANTS as readonly (string | undefined)[]).includes(tenantId);

/** The probe as a version's code layer. */
export async function probeLayer(): Promise<{ digest: string; layer: Layer }> {
  const source = `${probe.toString()}
export default { fetch: async (request) => { const { targets, timeoutMs } = await request.json(); return Response.json(await probe(targets, timeoutMs)); } };
`;
  const pack = tar.pack();
  for (const name of ["function", "function/code"]) pack.entry({ name, type: "directory", mode: 0o755, mtime: new Date(0) });
  pack.entry({ name: "function/code/index.mjs", mode: 0o644, mtime: new Date(0) }, source);
  pack.finalize();
  const bytes = Buffer.concat(await Readable.from(pack as AsyncIterable<Buffer>).toArray());
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  return { digest, layer: { bytes: bytes.length, open: () => Readable.from([bytes]) } };
}

export function createNetworkCheck(options: NetworkCheckOptions) {
  const { driver } = options;
  const start = (tenantId: string): Promise<Instance> =>
    driver.start({
      id: newInstanceId(),
      kind: "function",
      base: options.base,
      isolation: "gvisor",
      memoryMib: 128,
      codeMib: 16,
      egress: true,
      epoch: options.epoch,
      tenantId,
    });

  async function look(): Promise<Condition> {
    const started = await Promise.allSettled([TENANTS[0], TENANTS[0], TENANTS[1]].map(start));
    const running = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    try {
      const [one, another, stranger] = running;
      if (one === undefined || another === undefined || stranger === undefined)
        throw started.find((result) => result.status === "rejected")?.reason;
      const { digest } = await probeLayer();
      await driver.load(one.id, imageOf(TENANTS[0], digest));
      const targets = targetsOf({ ...(await options.facts()), sameTenant: placeOf(another), otherTenant: placeOf(stranger) });
      const tried = targets.filter(({ onlyFromSandbox }) => onlyFromSandbox !== true);
      const [inside, outside] = await Promise.all([askInside(one, targets), probe(tried, PROBE_MS)]);
      return judge(
        targets,
        inside,
        targets.map((target) => outside[tried.indexOf(target)]),
        new Date(),
      );
    } finally {
      await Promise.all(running.map(({ id }) => driver.stop(id).catch(options.onError)));
    }
  }

  return createVerdict({ ...options, look });
}
export type NetworkCheck = ReturnType<typeof createNetworkCheck>;

const imageOf = (tenantId: string, layer: string): ImageRef => ({
  tenantId,
  functionId: NOBODY,
  versionId: NOBODY,
  version: 1,
  configHash: "0".repeat(64),
  layer,
});

function placeOf({ address }: Instance): { host: string; port: number } {
  if (address?.kind !== "tls") throw new PlatformError("SANDBOX_FAILED", "A probe has no address.");
  return { host: address.host, port: address.port };
}

async function askInside({ id, address }: Instance, targets: readonly object[]): Promise<string[]> {
  const dial = dialOf(address as Address, id, PROBE_MS);
  const client = new Client(dial.origin, {
    connect: dial.connect,
    headersTimeout: ANSWER_MS,
    bodyTimeout: ANSWER_MS,
    maxResponseSize: 64 * 1024,
  });
  const post = async (path: string, body: object) => {
    const headers = { "content-type": "application/json", host: "probe" };
    const answer = await client.request({ method: "POST", path, headers, body: JSON.stringify(body) });
    const value: unknown = await answer.body.json();
    if (answer.statusCode !== 200) throw new PlatformError("SANDBOX_FAILED", `The probe answered ${answer.statusCode}.`);
    return value;
  };
  try {
    const ids = { tenantId: NOBODY, functionId: NOBODY, versionId: NOBODY, version: 1, tenant: "probe", function: "probe" };
    const limits = { timeoutMs: ANSWER_MS, memoryMib: 128, concurrency: 1 };
    await post(PROTOCOL_PATHS.init, { ...ids, entry: { file: "index.mjs" }, env: {}, limits });
    return z
      .array(z.string().max(50))
      .length(targets.length)
      .parse(await post("/", { targets, timeoutMs: PROBE_MS }));
  } finally {
    void client.destroy().catch(() => undefined);
  }
}
