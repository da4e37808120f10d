// Makes a running instance of a version: takes a generic sandbox, loads the code, sends `init`.
import type { ImageRef, Sandbox, SandboxDriver } from "../../sandbox/driver.ts";
import { CODE_SIZES_MIB } from "../../contract/limits.ts";
import { PlatformError } from "../../contract/errors.ts";
import type { InitRequest } from "../../contract/runtime-protocol.ts";
import { initConnection, initInstance } from "../../sandbox-client/instance-client.ts";
import { explainLoadFailure } from "./load-failure.ts";
import type { VersionInfo } from "./version-info.ts";
import type { LaunchReason } from "./launch.ts";
import type { PoolKey } from "../pool/pool-key.ts";
import type { WarmPool } from "../pool/warm-pool.ts";

/** How many sandboxes of the pool may turn out to be dead before a start fails. */
const POOL_TRIES = 3;

interface Loaded {
  sandbox: Sandbox;
  egress: InitRequest["egress"];
  settled: Promise<void>;
  loadMs: number;
  startMs?: number;
}
export interface Started {
  sandbox: Sandbox;
  timing: { startMs?: number; loadMs: number; initMs: number };
}
export interface StarterOptions {
  driver: SandboxDriver;
  pool: WarmPool;
  /** Resolves when the driver can load this layer. */
  ensureLayer(tenantId: string, digest: string): Promise<void>;
  /** Whether sandboxes belong to a tenant from their start, with room for code of a certain size. */
  perTenant: boolean;
  /**
   * Lets the sandbox reach what its version may, which may be nothing, before its code runs; resolves with what `init` has to say of it. Absent:
   * sandboxes have no way out.
   */
  openEgress?: ((sandbox: Sandbox, info: VersionInfo) => Promise<InitRequest["egress"]>) | undefined;
  /** The last lines that an instance printed, as far as they are known. */
  lastOutput?(image: ImageRef, sandbox: string): Promise<string[]>;
  onError(error: unknown): void;
}

export function createStarter({ driver, pool, ensureLayer, perTenant, openEgress, onError, ...options }: StarterOptions) {
  /** A sandbox with the code in it. If the pooled sandbox has died while it waited, another one is tried and the request does not fail. */
  async function loaded(info: VersionInfo, reason: LaunchReason, tries: number): Promise<Loaded> {
    const { tenantId } = info.image;
    const key: PoolKey = {
      kind: "function",
      base: info.base,
      isolation: info.isolation,
      memoryMib: info.memoryMib,
      egress: openEgress !== undefined,
      ...(perTenant ? { tenantId, codeMib: codeMibFor(info.layerBytes), floor: info.floor } : {}),
    };
    const { sandbox: generic, ...start } = await pool.take(key, { owner: tenantId, urgent: reason !== "minimum" });
    const begun = performance.now();
    const opened = openEgress?.(generic, info);
    try {
      const [load, egress] = await Promise.all([driver.beginLoad(generic.id, info.image), opened]);
      return { ...load, egress, loadMs: performance.now() - begun, ...start };
    } catch (error) {
      // Only then: a stop closes the way out, and must not be overtaken by what opens it.
      const stop = () => driver.stop(generic.id).catch(onError);
      void (opened ?? Promise.resolve()).then(stop, stop);
      const died = error instanceof PlatformError && (error.code === "FUNCTION_CRASHED" || error.code === "NOT_FOUND");
      if (!died) throw error;
      // The driver's NOT_FOUND or FUNCTION_CRASHED would mislead the caller: none of the tenant's code has run, and the missing sandbox is
      // the platform's.
      if (tries <= 1) throw new PlatformError("SANDBOX_FAILED", "The sandboxes that were ready have ended.", { cause: error });
      return loaded(info, reason, tries - 1);
    }
  }

  return async function start(info: VersionInfo, reason: LaunchReason): Promise<Started> {
    // The layer comes first: no sandbox should be taken and then wait, or be lost, while the layer is unpacked or found to be missing.
    await ensureLayer(info.image.tenantId, info.image.layer);
    const { sandbox, settled, egress, ...timing } = await loaded(info, reason, POOL_TRIES);
    const begun = performance.now();
    const init = egress === undefined ? info.init : { ...info.init, egress };
    try {
      await Promise.all([initInstance(driver.takeConnection(sandbox.id) ?? initConnection(sandbox), init), settled]);
      return { sandbox, timing: { ...timing, initMs: performance.now() - begun } };
    } catch (error) {
      const lastOutput = options.lastOutput ?? (async () => []);
      const told = await explainLoadFailure(error, sandbox.id, info.image, { driver, lastOutput });
      driver.stop(sandbox.id).catch(onError);
      throw told;
    }
  };
}
/** A tar of small files needs up to four times its size in pages (4 KiB for each file of less than 512 bytes). */
const PAGES_PER_TAR = 4;
const MIB = 1024 * 1024;

/** The smallest room that surely holds the unpacked layer, or else the largest, which holds every layer but deliberately awkward ones. */
const codeMibFor = (layerBytes: number): (typeof CODE_SIZES_MIB)[number] =>
  CODE_SIZES_MIB.find((mib) => layerBytes * PAGES_PER_TAR <= mib * MIB) ?? CODE_SIZES_MIB[CODE_SIZES_MIB.length - 1]!;

export type Starter = ReturnType<typeof createStarter>;
