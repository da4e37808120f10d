// All sources, with their sockets and their settings on disk, so that a killed proxy serves every sandbox again after its restart.
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync, chmodSync } from "node:fs";
import { join } from "node:path";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { egressSourceSchema, type EgressSource } from "@fnctl/control-plane/contract/internal";
import { closeListener, openListener, type OpenListener } from "@fnctl/control-plane/service/http/listen";
import type { AnswerRecords } from "./dns-records.ts";
import { RefusalLog } from "./refusal-log.ts";
import { answerName } from "./names.ts";
import { runPlainRequest } from "./plain-request.ts";
import type { Source } from "./source.ts";
import { createSourceServer } from "./source-listener.ts";
import { runTunnel, type TunnelDeps } from "./tunnel.ts";

export interface SourceRegistry {
  /** Makes or changes a source; resolves with the folder to mount into its sandbox. */
  put(instance: string, settings: EgressSource): Promise<string>;
  remove(instance: string): Promise<void>;
  get(instance: string): Source | undefined;
  /** All sources, and for how long this process has had them. */
  list(): { instance: string; ageMs: number }[];
  /** A tenant's rules have changed: open tunnels that they forbid are cut. */
  lookAgain(tenantId: string): void;
  readonly size: number;
  /** Closes all sockets; the settings stay for the next start. */
  close(): Promise<void>;
}

interface Deps extends TunnelDeps {
  root: string;
  answerRecords: AnswerRecords;
  warn(message: string, facts: Record<string, unknown>): void;
}
interface Entry {
  /** Monotonic clock, milliseconds. */
  since: number;
  source: Source;
  listener: OpenListener;
}

// An id must not begin with a dot, so that it cannot name the state folder or the parent folder.
const INSTANCE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;
const STATE = ".state";
const SOCKET_PATH_BYTES = 107;

export async function openSourceRegistry(deps: Deps): Promise<SourceRegistry> {
  mkdirSync(join(deps.root, STATE), { recursive: true, mode: 0o700 });
  // A sandbox gets only its own folder mounted, so it need not enter this one; other users on the host need not list it.
  chmodSync(deps.root, 0o711);
  const registry = new Registry(deps);
  await registry.restore();
  return registry;
}

class Registry implements SourceRegistry {
  private readonly deps: Deps;
  private readonly entries = new Map<string, Entry>();
  constructor(deps: Deps) {
    this.deps = deps;
  }

  async restore(): Promise<void> {
    for (const file of readdirSync(join(this.deps.root, STATE))) {
      const instance = file.replace(/\.json$/, "");
      if (!file.endsWith(".json") || !INSTANCE.test(instance)) continue;
      const parsed = egressSourceSchema.safeParse(readJson(join(this.deps.root, STATE, file)));
      // A file that a crash cut short belongs to a source whose `put` was never answered, so it is removed.
      if (!parsed.success) rmSync(join(this.deps.root, STATE, file));
      // One that cannot be opened must not keep the proxy, and with it all others, from beginning; its next `put` says why.
      else
        await this.open(instance, parsed.data).catch((error: unknown) =>
          this.deps.warn("a source was not opened", { instance, error: String(error) }),
        );
    }
  }

  async put(instance: string, settings: EgressSource): Promise<string> {
    if (!INSTANCE.test(instance))
      throw new PlatformError("BAD_REQUEST", "The instance's id holds other characters than letters, digits, dot, dash and underscore.");
    const known = this.entries.get(instance);
    const owner = known?.source.settings.tenantId ?? null;
    if (owner !== null && owner !== settings.tenantId) throw new PlatformError("CONFLICT", "The instance belongs to another tenant.");
    this.save(instance, settings);
    if (known === undefined) await this.open(instance, settings);
    else known.source.settings = settings;
    return join(this.deps.root, instance);
  }
  private save(instance: string, settings: EgressSource): void {
    const path = join(this.deps.root, STATE, `${instance}.json`);
    writeFileSync(`${path}.new`, JSON.stringify(settings), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
  private async open(instance: string, settings: EgressSource): Promise<void> {
    const folder = join(this.deps.root, instance);
    const path = join(folder, "s");
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES)
      throw new PlatformError("BAD_REQUEST", `The socket's path ${path} is longer than ${SOCKET_PATH_BYTES} bytes.`);
    mkdirSync(folder, { recursive: true });
    // Set again because the umask may have removed rights: the sandbox enters under another uid.
    chmodSync(folder, 0o755);
    const source: Source = { instance, settings, bytes: 0, tunnels: new Set(), refusals: new RefusalLog() };
    const server = createSourceServer({
      onConnect: (request) => void runTunnel(this.deps, source, request),
      onPlain: (asked) => void runPlainRequest(this.deps, source, asked),
      onName: (name, gone) => answerName(this.deps, source, name, gone),
      onRecords: (type, name, gone) => this.deps.answerRecords(source, type, name, gone),
      maxConnections: () => source.settings.maxConnections,
    });
    this.entries.set(instance, {
      since: performance.now(),
      source,
      listener: await openListener(server, { kind: "unix", path }, { mode: 0o666 }),
    });
  }

  get(instance: string): Source | undefined {
    return this.entries.get(instance)?.source;
  }
  list(): { instance: string; ageMs: number }[] {
    return Array.from(this.entries, ([instance, { since }]) => ({ instance, ageMs: Math.round(performance.now() - since) }));
  }
  lookAgain(tenantId: string): void {
    for (const { source } of this.entries.values())
      if (source.settings.tenantId === tenantId) for (const tunnel of source.tunnels) tunnel.lookAgain();
  }
  get size(): number {
    return this.entries.size;
  }
  async remove(instance: string): Promise<void> {
    if (!INSTANCE.test(instance)) return;
    rmSync(join(this.deps.root, STATE, `${instance}.json`), { force: true });
    const entry = this.entries.get(instance);
    this.entries.delete(instance);
    if (entry !== undefined) await shut(entry, "removed");
    rmSync(join(this.deps.root, instance), { recursive: true, force: true });
  }
  async close(): Promise<void> {
    const entries = [...this.entries.values()];
    this.entries.clear();
    await Promise.all(entries.map((entry) => shut(entry, "shutdown")));
  }
}

async function shut({ source, listener }: Entry, outcome: string): Promise<void> {
  const closed = closeListener(listener);
  for (const tunnel of source.tunnels) tunnel.end(outcome);
  (listener.server as { closeAllConnections?: () => void }).closeAllConnections?.();
  await closed;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
