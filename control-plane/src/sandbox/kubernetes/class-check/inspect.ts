// Code that runs inside a sandbox and inspects it.

/**
 * Returns raw findings; a value that cannot be read is "". All `folders` are filled to the last byte at the same time, and emptied again.
 * The text of this function runs inside a sandbox (`inspect.toString()`), so it must not use anything outside itself.
 */
export function inspect(folders: readonly string[], file: string) {
  // Not an import: bundlers and test runners rewrite imports, and so would break this text.
  const fs = process.getBuiltinModule("node:fs");
  const read = (path: string): string => {
    try {
      return fs.readFileSync(path, "utf8").trim().slice(0, 10_000);
    } catch {
      return "";
    }
  };
  /** The value of a `name: value` line. */
  const field = (text: string, name: string): string => new RegExp(`^${name}:?\\s+(.*)$`, "m").exec(text)?.[1]?.trim().slice(0, 100) ?? "";
  const errorOf = (work: () => void): string => {
    try {
      work();
      return "done";
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? "error";
    }
  };
  /** Bytes of the folder in whole pages, as a file system in memory counts them. */
  const there = (folder: string): number =>
    fs
      .readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((name) => fs.statSync(`${folder}/${name}`))
      .reduce((sum, stat) => sum + (stat.isFile() ? Math.ceil(stat.size / 4096) * 4096 : 0), 0);
  const fill = (folder: string): number => {
    let bytes = there(folder);
    const out = fs.openSync(`${folder}/.filled`, "w");
    for (const some of [Buffer.alloc(64 * 1024), Buffer.alloc(4096)]) while (errorOf(() => (bytes += fs.writeSync(out, some))) === "done");
    fs.closeSync(out);
    return bytes;
  };
  const sizes = Object.fromEntries(folders.map((folder) => [folder, fill(folder)]));
  for (const folder of folders) fs.rmSync(`${folder}/.filled`);
  /** Dangerous system calls that no filter refuses. */
  const possibleCalls = (): string[] => {
    // Call numbers of x86_64, with arguments for which the call itself has nothing to do: a seccomp filter refuses with 1 (EPERM), the
    // kernel with another error.
    const CALLS: Record<string, string> = {
      unshare: "272, 0x10000000",
      setns: "308, -1, 0",
      mount: "165, 0, 0, 0, 0, 0",
      pivot_root: "155, 0, 0",
      ptrace: "101, -1, 0, 0, 0",
      process_vm_readv: "310, 0, 0, 0, 0, 0, 0",
      bpf: "321, -1, 0, 0",
      perf_event_open: "298, 0, 0, -1, -1, 0",
      userfaultfd: "323, -1",
      keyctl: "250, -1, 0, 0, 0, 0",
      add_key: "248, 0, 0, 0, 0, 0",
      io_uring_setup: "425, 0, 0",
      init_module: "175, 0, 0, 0",
      kexec_load: "246, 0, 0, 0, -1",
      open_by_handle_at: "304, -1, 0, 0",
      socket_vsock: "41, 40, 1, 0",
    };
    const script = Object.entries(CALLS).map(([name, call]) => `print "${name} ", (syscall(${call}) < 0 ? $! + 0 : 0), "\\n";`);
    const tried = process.getBuiltinModule("node:child_process").spawnSync("/usr/bin/perl", ["-e", script.join("")], { maxBuffer: 10_000 });
    const refused = new Set([...tried.stdout.toString().matchAll(/^(\w+) 1$/gm)].map(([, name]) => name));
    return Object.keys(CALLS).filter((name) => !refused.has(name));
  };
  const status = read("/proc/self/status");
  const memory = read("/proc/meminfo");
  const root = read("/proc/self/mountinfo")
    .split("\n")
    .map((line) => line.split(" "))
    .find((fields) => fields[4] === "/");
  return {
    kernel: read("/proc/version").slice(0, 200),
    bootId: read("/proc/sys/kernel/random/boot_id").slice(0, 100),
    sizes,
    memoryKib: Number.parseInt(field(memory, "MemTotal"), 10) || 0,
    swapKib: Number.parseInt(field(memory, "SwapTotal"), 10) || 0,
    user: `${process.getuid?.()}:${process.getgid?.()}`,
    capabilities: ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((name) => field(status, name)),
    noNewPrivileges: field(status, "NoNewPrivs"),
    root: root?.[5]?.split(",")[0] ?? "",
    pids: /^Max processes\s+(\S+)\s+(\S+)/m.exec(read("/proc/self/limits"))?.slice(1, 3).join(" ") ?? "",
    seccomp: field(status, "Seccomp"),
    possible: possibleCalls(),
    lastWords: errorOf(() => fs.openSync(file, "a")),
  };
}
