// A virtual machine with a kernel of its own, emulated, in which the base image's first program does its work as in a Kata pod. Kata itself
// needs virtualisation that a machine for tests may lack; what only its shim decides (sizes of the machine, host cgroups) is not seen here.
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { cacheDir } from "../base/find-runsc.ts";
import { writeCpio } from "./cpio.ts";

export interface Scenario {
  args: readonly string[];
  env?: Record<string, string>;
  /** Of the container, as Kata's agent sets it; absent: none. */
  memoryMib?: number;
  /** Set for its time, e.g. `user.max_user_namespaces=0`. */
  sysctl?: string;
  /** The agent applies a container runtime's default seccomp profile. */
  guarded?: boolean;
}
export interface Ended {
  /** Exit code, `signalN`, or `oom`. */
  status: number | string;
  /** stdout and stderr. */
  output: string;
}
const MEMORY_MIB = 768;
const BOOT_MS = 150_000;

/** Why there is none is printed, because the tests that need it are skipped then. */
export function findGuest(): { kernel: string; missing: undefined } | { kernel: ""; missing: string } {
  const missing = (reason: string) => {
    console.warn(`Tests in a virtual machine are skipped: ${reason}.`);
    return { kernel: "" as const, missing: reason };
  };
  const onPath = (name: string) => (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(path.join(folder, name)));
  if (!onPath("qemu-system-x86_64")) return missing("no qemu-system-x86_64 on PATH");
  const kernels = path.join(cacheDir(), "guest-kernel/boot");
  const kernel =
    existsSync(kernels) &&
    readdirSync(kernels)
      .toSorted()
      .findLast((name) => name.startsWith("vmlinuz-"));
  return kernel ? { kernel: path.join(kernels, kernel), missing: undefined } : missing("no kernel for it in the cache folder");
}

/** Boots once and runs all scenarios, one after the other, in containers of this root file system. */
export async function runInGuest(
  kernel: string,
  rootfs: string,
  scenarios: Readonly<Record<string, Scenario>>,
): Promise<Record<string, Ended>> {
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-guest-"));
  try {
    const initrd = path.join(folder, "initrd");
    const init = await readFile(path.join(import.meta.dirname, "init.pl"), "utf8");
    const lines = Object.values(scenarios).map((scenario, index) => lineOf(index, scenario));
    const added = [
      { name: "init", text: init, mode: 0o755 },
      { name: "scenarios", text: lines.join("\n"), mode: 0o644 },
    ];
    await writeCpio(rootfs, added, initrd);
    const said = await boot(kernel, initrd, path.join(folder, "console"));
    const ended = new Map(
      [...said.matchAll(/^ENDED (\d+) (\S+) (\S+)/gm)].map(([, index, status, output]) => [Number(index), [status, output]]),
    );
    return Object.fromEntries(
      Object.keys(scenarios).map((name, index) => {
        const [status = "not run", output = "-"] = ended.get(index) ?? [];
        return [
          name,
          { status: /^\d+$/.test(status) ? Number(status) : status, output: Buffer.from(output.replace("-", ""), "hex").toString() },
        ];
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function lineOf(index: number, { args, env = {}, memoryMib = 0, sysctl = "", guarded = false }: Scenario): string {
  const hex = (text: string) => Buffer.from(text).toString("hex") || "-";
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const file =
    sysctl === "" ? "" : `/proc/sys/${sysctl.slice(0, sysctl.indexOf("=")).replaceAll(".", "/")}${sysctl.slice(sysctl.indexOf("="))}`;
  return [index, memoryMib * 1024 * 1024, hex(file), guarded ? 1 : 0, hex(variables.join("\n")), ...args.map(hex)].join(" ");
}

/** Resolves with what came over the second serial line. */
async function boot(kernel: string, initrd: string, consoleFile: string): Promise<string> {
  const machine = ["-accel", "tcg", "-m", String(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"];
  const lines = ["-serial", `file:${consoleFile}`, "-serial", "stdio"];
  const start = ["-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1"];
  const child = spawn("qemu-system-x86_64", [...machine, ...lines, ...start], { stdio: ["ignore", "pipe", "inherit"], timeout: BOOT_MS });
  let said = "";
  child.stdout.setEncoding("latin1").on("data", (text: string) => (said += text));
  await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (!said.includes("DONE")) throw new Error(`The virtual machine did not come to its end: ${await readFile(consoleFile, "utf8")}${said}`);
  return said;
}
