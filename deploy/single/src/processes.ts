// The supervisor starts the parts, restarts one that ends by itself, and stops them in order.
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { openSync, closeSync } from "node:fs";
import { keepWithinSize } from "./service-logs.ts";

export interface Part {
  name: string;
  program: string;
  args: string[];
  env: Record<string, string>;
  ids?: { uid: number; gid: number };
  /** It listens on ports below 1024, which is root's right otherwise (capabilities(7)). */
  bindsLowPorts?: boolean;
  logFile: string;
  /** Signal that asks the part to end; SIGINT is Postgres's fast shutdown. */
  stopSignal?: NodeJS.Signals;
  stopMs?: number;
  /** Told of each run's end, and the variable in which the run is given its name. */
  runs?: { variable: string; onEnd(run: string): void };
}
const BACKOFF_MS = { first: 50, most: 5_000, healthyAfter: 10_000 };

/**
 * setpriv(1) changes to the part's user, removes privileges that it could gain by setuid programs, and lets the kernel end it when the
 * supervisor is killed, so that no process holds ports and sockets that the next start needs. Sandboxes keep running, and the next driver
 * adopts them.
 */
export function commandOf({
  program,
  args,
  ids,
  bindsLowPorts,
  stopSignal,
}: Pick<Part, "program" | "args" | "ids" | "bindsLowPorts" | "stopSignal">): [string, ...string[]] {
  const kept = bindsLowPorts === true ? ",+net_bind_service" : "";
  const privileges =
    ids === undefined
      ? []
      : [
          `--reuid=${ids.uid}`,
          `--regid=${ids.gid}`,
          "--clear-groups",
          "--no-new-privs",
          ...["--bounding-set", "--inh-caps", "--ambient-caps"].map((set) => `${set}=-all${kept}`),
        ];
  return ["setpriv", `--pdeathsig=${stopSignal ?? "SIGTERM"}`, ...privileges, "--", program, ...args];
}

export function createSupervisor(onNote: (line: string) => void) {
  const running: { part: Part; child: ChildProcess; done: Promise<void> }[] = [];
  let stopping = false;
  const endKeeping = keepWithinSize(
    () => running.map(({ part }) => part.logFile),
    (error) => onNote(`service logs: ${String(error)}`),
  );

  function launch(part: Part, slot: number, backoff: number): void {
    const log = openSync(part.logFile, "a", 0o600);
    const begun = Date.now();
    const [program, ...args] = commandOf(part);
    const run = `${part.name}-${randomBytes(6).toString("hex")}`;
    const env = part.runs === undefined ? part.env : { ...part.env, [part.runs.variable]: run };
    const child = spawn(program, args, { env, cwd: "/", stdio: ["ignore", log, log] });
    closeSync(log);
    const done = new Promise<void>((resolve) => {
      child.on("error", (error) => onNote(`${part.name}: ${error.message}`));
      child.on("close", (code, signal) => {
        resolve();
        if (stopping) return;
        part.runs?.onEnd(run);
        const wait = Date.now() - begun > BACKOFF_MS.healthyAfter ? BACKOFF_MS.first : backoff;
        onNote(`${part.name} ended (${signal ?? code}); starting it again in ${wait} ms, see ${part.logFile}`);
        setTimeout(() => stopping || launch(part, slot, Math.min(wait * 2, BACKOFF_MS.most)), wait);
      });
    });
    running[slot] = { part, child, done };
  }

  return {
    start(part: Part): void {
      launch(part, running.length, BACKOFF_MS.first);
    },
    pids: (): Record<string, number | undefined> => Object.fromEntries(running.map(({ part, child }) => [part.name, child.pid])),
    /** From now on a part that ends is not restarted. */
    beginStop(): void {
      stopping = true;
      void endKeeping();
    },
    /** Ends one part: sends its stop signal, waits for `stopMs`, then sends SIGKILL. */
    async stop(name: string): Promise<void> {
      const entry = running.find(({ part }) => part.name === name);
      if (entry === undefined || entry.child.exitCode !== null) return;
      entry.child.kill(entry.part.stopSignal ?? "SIGTERM");
      const timer = setTimeout(() => entry.child.kill("SIGKILL"), entry.part.stopMs ?? 10_000);
      await entry.done;
      clearTimeout(timer);
    },
  };
}
export type Supervisor = ReturnType<typeof createSupervisor>;
