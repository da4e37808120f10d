// Paths of the runsc driver on the host. Pure; every path is built here from validated ids.
import path from "node:path";

export interface RunscPaths {
  /** Short, because a Unix socket's path has 108 bytes at most (unix(7)). */
  runDir: string;
  /** Unpacked base root file systems, `<hex of digest>/rootfs` beside `process.json`. */
  basesDir: string;
  /** Unpacked code layers, `<tenant>/<hex of diff_id>`. */
  layersDir: string;
  /** The egress proxy's per-instance folders. */
  egressDir: string;
}

export interface InstancePaths {
  folder: string;
  meta: string;
  bundle: string;
  tmpfs: string;
  /** Folder in the tmpfs; the only part of it that is mounted into the sandbox. */
  box: string;
  boundSocket: string;
  /** Folder in the tmpfs that is not mounted into the sandbox; it holds the hard link to the socket that is dialled (SECURITY I1). */
  pinFolder: string;
  pinnedSocket: string;
  /** Only root may enter this folder, because the tenant's source below it is readable by every user. */
  codeFolder: string;
  /** Folder that is mounted into the sandbox; the layer is bound on its entry `code` (SANDBOX_PATHS.code). */
  codeMount: string;
  code: string;
  /** Where the egress proxy's folder is bound, for sandboxes with access to the proxy. */
  egress: string;
  logFolder: string;
  stdout: string;
  stderr: string;
  logMeta: string;
  /** The Sentry's reports of system calls that it does not implement. */
  userLog: string;
}

const hex = (digest: string): string => digest.slice("sha256:".length);

export function createLayout(paths: RunscPaths) {
  const instances = path.join(paths.runDir, "i");
  const logs = path.join(paths.runDir, "l");
  return {
    instances,
    logs,
    runscRoot: path.join(paths.runDir, "runsc"),
    /** Read-only bind of the layers, so that mounts made from here are read-only wherever they propagate. */
    layersView: path.join(paths.runDir, "layers"),
    base: (digest: string) => path.join(paths.basesDir, hex(digest)),
    layer: (tenantId: string, diffId: string) => path.join(tenantId, hex(diffId)),
    egress: (id: string) => path.join(paths.egressDir, id),
    instance(id: string): InstancePaths {
      const folder = path.join(instances, id);
      const tmpfs = path.join(folder, "t");
      const logFolder = path.join(logs, id);
      return {
        folder,
        meta: path.join(folder, "meta.json"),
        bundle: path.join(folder, "bundle"),
        tmpfs,
        box: path.join(tmpfs, "b"),
        boundSocket: path.join(tmpfs, "b", "s"),
        pinFolder: path.join(tmpfs, "p"),
        pinnedSocket: path.join(tmpfs, "p", "s"),
        codeFolder: path.join(folder, "c"),
        codeMount: path.join(folder, "c", "fn"),
        code: path.join(folder, "c", "fn", "code"),
        egress: path.join(folder, "e"),
        logFolder,
        stdout: path.join(logFolder, "out"),
        stderr: path.join(logFolder, "err"),
        logMeta: path.join(logFolder, "meta.json"),
        userLog: path.join(logFolder, "gvisor.log"),
      };
    },
  };
}
export type RunscLayout = ReturnType<typeof createLayout>;
