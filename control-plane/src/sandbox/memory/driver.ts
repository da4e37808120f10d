// SandboxDriver without any sandbox: its instances are HTTP servers of this process on Unix sockets. It isolates nothing, and is for tests
// of code that uses a driver, and for running one's own code while developing.
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import type http from "node:http";
import type { RequestListener } from "node:http";
import path from "node:path";
import { PlatformError } from "../../contract/errors.ts";
import type { Isolation } from "../../contract/names.ts";
import { SANDBOX_PATHS, type InitRequest } from "../../contract/runtime-protocol.ts";
import { settledLoads, type ImageRef, type Sandbox, type SandboxDriver, type SandboxSpec } from "../driver.ts";
import { createMemoryInstance } from "./instance.ts";

export interface MemoryDriverOptions {
  world: MemoryWorld;
  /** Short, because a Unix socket's path has 108 bytes at most (unix(7)). */
  socketsDir: string;
  /** Unpacked code layers, `<tenant>/<hex of diff_id>`. */
  layersDir: string;
  /** Digests of the existing bases. */
  bases: ReadonlySet<string>;
  /** Makes the handler for requests after `init`; `codeFolder` holds the layer's code. An error it throws becomes the answer 422. */
  open(codeFolder: string, init: InitRequest): RequestListener | Promise<RequestListener>;
}

interface Running {
  instance: Sandbox;
  server: http.Server;
  place(codeFolder: string): void;
}
/** The running instances, which outlive a driver object as processes outlive a driver process. */
export interface MemoryWorld {
  running: Map<string, Running>;
}
export const createMemoryWorld = (): MemoryWorld => ({ running: new Map() });

export interface MemoryDriver extends SandboxDriver {
  /** Ends an instance as a crash would: it stays listed until `stop`. */
  crash(id: string, reason?: "exited" | "oom"): Promise<void>;
}

/** The driver claims `gvisor` only so that callers need no special case for tests; nothing here isolates code. */
const ISOLATIONS: readonly Isolation[] = ["gvisor"];
const CODE_BELOW_LAYER = SANDBOX_PATHS.code.slice(1);

export async function createMemoryDriver(options: MemoryDriverOptions): Promise<MemoryDriver> {
  const { running } = options.world;
  const starting = new Map<string, Promise<Sandbox>>();
  await mkdir(options.socketsDir, { recursive: true, mode: 0o700 });

  async function launch(spec: SandboxSpec): Promise<Sandbox> {
    refuseUnsupported(spec, options.bases);
    const address = { kind: "unix" as const, path: path.join(options.socketsDir, spec.id) };
    const { server, place } = createMemoryInstance(options.open);
    await rm(address.path, { force: true });
    await new Promise<void>((resolve, reject) => void server.once("error", reject).listen(address.path, resolve));
    const instance: Sandbox = { ...spec, state: "idle", startedAt: Date.now(), address };
    running.set(spec.id, { instance, server, place });
    return structuredClone(instance);
  }

  async function start(spec: SandboxSpec): Promise<Sandbox> {
    const known = running.get(spec.id);
    if (known !== undefined) return structuredClone(known.instance);
    const begun = starting.get(spec.id) ?? launch(spec).finally(() => starting.delete(spec.id));
    starting.set(spec.id, begun);
    return begun;
  }

  async function load(id: string, image: ImageRef): Promise<Sandbox> {
    const entry = running.get(id);
    if (entry === undefined) throw new PlatformError("NOT_FOUND", "No such sandbox.");
    const { instance } = entry;
    if (instance.state === "ended") throw new PlatformError("FUNCTION_CRASHED", "The sandbox has ended.");
    if (instance.image !== undefined) {
      if (JSON.stringify(instance.image) === JSON.stringify(image)) return structuredClone(instance);
      throw new PlatformError("CONFLICT", "The sandbox already belongs to another version.");
    }
    const layer = path.join(options.layersDir, image.tenantId, image.layer.slice("sha256:".length), CODE_BELOW_LAYER);
    if (!existsSync(layer)) throw new PlatformError("SANDBOX_FAILED", "The version's layer is not unpacked on this machine.");
    instance.image = image;
    instance.state = "loaded";
    entry.place(layer);
    return structuredClone(instance);
  }

  async function close(entry: Running): Promise<void> {
    const closed = new Promise((resolve) => entry.server.close(resolve));
    entry.server.closeAllConnections();
    await closed;
  }

  async function stop(id: string): Promise<void> {
    await starting.get(id)?.catch(() => undefined);
    const entry = running.get(id);
    running.delete(id);
    if (entry !== undefined) await close(entry);
  }

  return {
    name: "memory",
    isolations: ISOLATIONS,
    start,
    load,
    ...settledLoads(load),
    stop,
    list: async () => [...running.values()].map(({ instance }) => structuredClone(instance)),
    async removeTenant(tenantId) {
      const theirs = [...running.values()].filter(({ instance }) => instance.image?.tenantId === tenantId);
      await Promise.all(theirs.map(({ instance }) => stop(instance.id)));
    },
    async crash(id, reason = "exited") {
      const entry = running.get(id);
      if (entry === undefined) return;
      entry.instance.state = "ended";
      entry.instance.ended = { reason, detail: "It was told to end." };
      await close(entry);
    },
  };
}

function refuseUnsupported(spec: SandboxSpec, bases: ReadonlySet<string>): void {
  if (!ISOLATIONS.includes(spec.isolation)) {
    throw new PlatformError("ISOLATION_UNAVAILABLE", `The memory driver offers no ${spec.isolation} isolation.`, {
      hint: "Use a driver that has it; the memory driver is for tests and development only.",
    });
  }
  if (!bases.has(spec.base)) throw new PlatformError("SANDBOX_FAILED", `The base image ${spec.base} is not on this machine.`);
}
