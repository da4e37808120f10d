// Launches instances: refuses launches beyond a limit, counts those that are under way, and notes why one failed.
import { PlatformError } from "../../contract/errors.ts";
import type { Lease } from "../../contract/internal.ts";
import type { Deaths } from "./deaths.ts";
import { freshInstance, type InstanceTable, type Instance } from "../leases/instance-table.ts";
import type { Starter } from "./starter.ts";
import type { TenantUse } from "../leases/tenant-use.ts";
import type { VersionInfo } from "./version-info.ts";

/** An instance that ended without being asked to, or that did not load. */
export interface InstanceFailure {
  tenantId: string;
  functionId: string;
  version: number;
  instance: string;
  reason: string;
  detail: string;
}
/**
 * `request`: a request waits; `trial`: a version is started once before it goes live; `minimum`: `min` asks for it, so nothing waits, and
 * it takes no sandbox from others.
 */
export type LaunchReason = "request" | "trial" | "minimum";

export interface LauncherOptions {
  table: InstanceTable;
  use: TenantUse;
  deaths: Deaths;
  maxInstances: number;
  start: Starter;
  /** Throws when the started instance may not be leased to any gateway. */
  requireFit(instance: Instance): Promise<void>;
  onFailure(failure: InstanceFailure): void;
  /** Called when a start has succeeded or failed. */
  onSettled(): void;
}

export function createLauncher({ table, use, deaths, maxInstances, start, requireFit, onFailure, onSettled }: LauncherOptions) {
  const starting = new Map<string, number>();
  let begun = 0;

  function refuse(info: VersionInfo, reason: LaunchReason): void {
    deaths.require(info.image.versionId);
    const refusal = use.refusal(info, reason === "trial");
    if (refusal !== undefined) throw refusal;
    if (table.size() + begun >= maxInstances)
      throw new PlatformError("CAPACITY_UNAVAILABLE", "This platform runs as many instances as it may.");
  }
  function begin(info: VersionInfo): () => void {
    const { versionId } = info.image;
    const end = use.begin(info);
    begun++;
    starting.set(versionId, (starting.get(versionId) ?? 0) + 1);
    return () => {
      end();
      begun--;
      const left = (starting.get(versionId) ?? 1) - 1;
      if (left === 0) starting.delete(versionId);
      else starting.set(versionId, left);
      onSettled();
    };
  }
  function noteFailure(info: VersionInfo, error: unknown): void {
    if (!(error instanceof PlatformError) || error.code !== "INIT_FAILED") return;
    const { tenantId, functionId, versionId, version } = info.image;
    deaths.failed(versionId, error);
    const stack = error.facts?.["stack"];
    const detail = typeof stack === "string" ? `${error.message}\n${stack}` : error.message;
    onFailure({ tenantId, functionId, version, instance: "", reason: "init-failed", detail });
  }

  return {
    /** Starts an instance of the version; it is in the table, free, when this resolves. */
    async launch(info: VersionInfo, reason: LaunchReason): Promise<{ instance: Instance; timing: Lease["timing"] }> {
      refuse(info, reason);
      const end = begin(info);
      try {
        const { sandbox, timing } = await start(info, reason);
        const instance = { ...freshInstance(sandbox, info), unjudged: 0 };
        table.add(instance);
        await requireFit(instance);
        return { instance, timing };
      } catch (error) {
        noteFailure(info, error);
        throw error;
      } finally {
        end();
      }
    },
    startingOf: (versionId: string): number => starting.get(versionId) ?? 0,
  };
}
export type Launch = ReturnType<typeof createLauncher>["launch"];
