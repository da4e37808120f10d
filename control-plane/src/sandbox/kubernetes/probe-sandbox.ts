// Starts real sandboxes of two tenants that exist only for this, by the driver like any other, and runs the platform's probes in them: what
// their network lets them reach, and how their class really isolates.
import { Readable } from "node:stream";
import tar from "tar-stream";
import { PlatformError } from "../../contract/errors.ts";
import { sha256 } from "../../service/digest.ts";
import type { Isolation } from "../../contract/names.ts";
import { connect, initConnection, initInstance } from "../../sandbox-client/instance-client.ts";
import { newInstanceId } from "../../service/uuid7.ts";
import type { Sandbox, SandboxDriver, SandboxSpec } from "../driver.ts";
import { inspect } from "./class-check/inspect.ts";
import { probe } from "./network-check/probe.ts";
import type { Layer } from "../../sandbox-client/send-code.ts";

/** Ids of two tenants that are never given to real tenants. */
export const PROBE_TENANTS = ["00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b"] as const;
const NOBODY = "00000000-0000-7000-8000-000000000000";
const CONNECT_MS = 2_000;
const ANSWER_MS = 30_000;
const ANSWER_BYTES = 64 * 1024;
/** The smallest sizes: a probe that fits into these fits everywhere. */
const SIZE = { memoryMib: 128, codeMib: 16 } as const;

export const isProbeTenant = (tenantId: string | undefined): boolean =>
  (PROBE_TENANTS as readonly (string | undefined)[]).includes(tenantId);

/** The probing code, as a version's layer: it answers `/probe` and `/inspect`. */
export async function probeLayer(): Promise<{ digest: string; layer: Layer }> {
  const source = `${probe.toString()}\n${inspect.toString()}
export default { async fetch(request) {
  const asked = await request.json();
  return Response.json(new URL(request.url).pathname === "/inspect" ? inspect(asked.folders, asked.file) : await probe(asked.targets, asked.timeoutMs));
} };
`;
  const pack = tar.pack();
  for (const name of ["function", "function/code"]) pack.entry({ name, type: "directory", mode: 0o755, mtime: new Date(0) });
  pack.entry({ name: "function/code/index.mjs", mode: 0o644, mtime: new Date(0) }, source);
  pack.finalize();
  const bytes = Buffer.concat(await Readable.from(pack as AsyncIterable<Buffer>).toArray());
  const digest = sha256(bytes);
  return { digest, layer: { bytes: bytes.length, open: () => Readable.from([bytes]) } };
}

export interface ProbeOptions {
  driver: SandboxDriver;
  isolation: Isolation;
  /** Base image of the probes: a Node runtime. */
  base: string;
  epoch: number;
  onError(error: unknown): void;
}

export function createProbeSandboxes({ driver, isolation, base, epoch, onError }: ProbeOptions) {
  const specOf = (tenantId: string): SandboxSpec => ({
    ...SIZE,
    id: newInstanceId(),
    kind: "function",
    base,
    isolation,
    egress: true,
    epoch,
    tenantId,
  });
  return {
    /** Starts one sandbox for each tenant, or none if one fails; the caller must stop them. */
    async start(tenants: readonly string[]): Promise<Sandbox[]> {
      const started = await Promise.allSettled(tenants.map((tenantId) => driver.start(specOf(tenantId))));
      const running = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      const failed = started.find((one) => one.status === "rejected");
      if (failed === undefined) return running;
      await this.stop(running);
      throw failed.reason;
    },
    /** Loads the probing code, asks it, and returns its answer, which is only as trustworthy as the sandbox. */
    async ask(instance: Sandbox, where: "/probe" | "/inspect", question: object): Promise<unknown> {
      const { digest } = await probeLayer();
      const ids = { tenantId: instance.tenantId ?? NOBODY, functionId: NOBODY, versionId: NOBODY, version: 1 };
      await driver.load(instance.id, { ...ids, configHash: "0".repeat(64), layer: digest });
      return await askInside(instance, where, question);
    },
    stop: async (instances: readonly Sandbox[]) => void (await Promise.all(instances.map(({ id }) => driver.stop(id).catch(onError)))),
  };
}

async function askInside(instance: Sandbox, where: string, question: object): Promise<unknown> {
  const ids = { tenantId: NOBODY, functionId: NOBODY, versionId: NOBODY, version: 1, tenant: "probe", function: "probe" };
  const limits = { timeoutMs: ANSWER_MS, memoryMib: SIZE.memoryMib, concurrency: 1 };
  await initInstance(initConnection(instance, CONNECT_MS), { ...ids, entry: { file: "index.mjs" }, env: {}, limits }, ANSWER_MS);
  const client = connect(instance, ANSWER_MS, ANSWER_BYTES, CONNECT_MS);
  try {
    const headers = { "content-type": "application/json", host: "probe" };
    const answer = await client.request({ method: "POST", path: where, headers, body: JSON.stringify(question) });
    const value: unknown = await answer.body.json();
    if (answer.statusCode !== 200) throw new PlatformError("SANDBOX_FAILED", `The probe answered ${answer.statusCode}.`);
    return value;
  } finally {
    void client.destroy().catch(() => undefined);
  }
}
