// Starts one real gVisor sandbox from a built root file system, the way the platform's driver does; for tests and benchmarks only.
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PreparedRootfs } from "../base/prepare.ts";

const exec = promisify(execFile);
const UID = 10_077;

/** A running bootstrap, in a sandbox or as a plain process. */
export interface Sandbox {
  socket: string;
  /** Host folder that is /function inside. */
  code: string;
  /** Everything the process has written to fd 1 and 2 so far. */
  output(): string;
  /** Acts like a log collector that stopped reading. */
  pauseOutput(paused: boolean): void;
  signal(name: "TERM" | "KILL" | "USR1"): Promise<void>;
  /** Resolves when the process is gone. */
  exited: Promise<unknown>;
  stop(): Promise<void>;
}

export interface SandboxOptions {
  runsc: string;
  rootfs: PreparedRootfs;
  env?: Record<string, string>;
  /** Host folder that holds an egress socket `s`. */
  egressFolder?: string;
  workMib?: number;
  /** Gives the sandbox the host's network, so that a test can reach a port inside; never done by the platform. */
  hostNetwork?: boolean;
}

export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const folder = await mkdtemp(join(tmpdir(), "fnctl-case-"));
  const id = `case-${randomBytes(8).toString("hex")}`;
  const sock = join(folder, "sock");
  const code = join(folder, "code");
  for (const path of [sock, code]) await mkdir(path);
  await chmod(folder, 0o755);
  await chown(sock, UID, UID);
  await writeFile(join(folder, "config.json"), JSON.stringify(spec(options, sock, code)));

  const pipes = await Promise.all(["out", "err"].map((name) => outputPipe(join(folder, name))));
  const base = [
    `--root=${join(folder, "state")}`,
    `--network=${options.hostNetwork === true ? "host" : "none"}`,
    "--host-uds=all",
    "--platform=systrap",
    "--ignore-cgroups",
  ];
  const child = spawn(options.runsc, [...base, "run", `--bundle=${folder}`, id], {
    stdio: ["ignore", ...pipes.map((pipe) => pipe.writer)],
  });
  for (const pipe of pipes) closeSync(pipe.writer);
  const exited = new Promise((resolve) => child.once("exit", resolve));
  return {
    socket: join(sock, "s"),
    code,
    output: () => pipes.map((pipe) => pipe.text()).join(""),
    pauseOutput: (paused) => pipes.forEach((pipe) => (paused ? pipe.stream.pause() : pipe.stream.resume())),
    signal: async (name) => void (await exec(options.runsc, [...base, "kill", id, name])),
    exited,
    stop: async () => {
      await exec(options.runsc, [...base, "kill", id, "KILL"]).catch(() => undefined);
      await exited;
      await exec(options.runsc, [...base, "delete", "--force", id]).catch(() => undefined);
      for (const pipe of pipes) pipe.stream.destroy();
      // --network=none leaves a mount of an empty network namespace behind in the state folder.
      await exec("umount", [join(folder, "state/null-netns")]).catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface OutputPipe {
  writer: number;
  stream: Socket;
  text(): string;
}

async function outputPipe(path: string): Promise<OutputPipe> {
  await exec("mkfifo", [path]);
  let text = "";
  // The FIFO is opened for reading and writing, so that neither open waits for the other side.
  const stream = new Socket({ fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK), readable: true, writable: false });
  stream.on("data", (chunk) => (text += chunk.toString())).on("error", () => undefined);
  return { writer: openSync(path, constants.O_WRONLY), stream, text: () => text };
}

function spec(options: SandboxOptions, sock: string, code: string): object {
  const tmpfs = (destination: string, size: string): object => ({
    destination,
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "nodev", "mode=1777", `size=${size}`],
  });
  const bind = (destination: string, source: string, mode: "ro" | "rw"): object => ({
    destination,
    source,
    type: "bind",
    options: ["rbind", "rslave", mode, "nosuid", "nodev"],
  });
  const { process: start, rootfs } = options.rootfs;
  return {
    ociVersion: "1.2.0",
    hostname: "function",
    process: {
      user: { uid: UID, gid: UID },
      cwd: start.cwd,
      args: start.args,
      noNewPrivileges: true,
      env: Object.entries({ ...start.env, ...options.env }).map(([name, value]) => `${name}=${value}`),
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
    },
    root: { path: rootfs, readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      tmpfs("/tmp", "64m"),
      ...(options.workMib === undefined ? [] : [tmpfs("/build", `${options.workMib}m`)]),
      bind("/run/fn/sock", sock, "rw"),
      ...(options.hostNetwork === true ? [tmpfs("/function", "64m")] : [bind("/function/code", code, "ro")]),
      ...(options.egressFolder === undefined ? [] : [bind("/run/fn/egress", options.egressFolder, "ro")]),
    ],
    linux: {
      namespaces: ["pid", ...(options.hostNetwork === true ? [] : ["network"]), "ipc", "uts", "mount"].map((type) => ({ type })),
    },
  };
}
