// The processes of a platform on one machine, each with its settings and uid. Has no side effects.
import path from "node:path";
import type { Folders } from "./folders.ts";
import type { Connections } from "./postgres.ts";
import type { Part } from "./processes.ts";
import type { Registries } from "./registries.ts";
import type { Settings } from "./settings.ts";
import type { ServiceUser, Users } from "./users.ts";

export interface PartsInput {
  settings: Settings;
  folders: Folders;
  users: Users;
  node: string;
  runsc: string;
  registries: Registries;
  caBundle: string | undefined;
}

export function sockets(folders: Folders) {
  return {
    driver: path.join(folders.run.driver, "s"),
    api: path.join(folders.run.control, "api"),
    control: path.join(folders.run.control, "internal"),
    gatewayAdmin: path.join(folders.run.gateway, "admin"),
    calls: path.join(folders.run.calls, "s"),
    egressFeed: path.join(folders.run.egressFeed, "s"),
    egressAdmin: path.join(folders.run.egress, "admin"),
    collector: path.join(folders.run.collector, "s"),
  };
}

/** Folder of the sandboxes' cgroups, the same in every hierarchy. */
export const cgroupParent = (mark: string): string => `/fnctl-${mark}`;

export function createParts({ settings, folders, users, node, runsc, registries, caBundle }: PartsInput) {
  const socket = sockets(folders);
  const common = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8", NODE_ENV: "production" };
  const service = (name: string, user: ServiceUser | "root", env: Record<string, string>, stopMs = 15_000): Part => ({
    name,
    program: node,
    args: ["--enable-source-maps", path.join(folders.state.app, `${name}.mjs`)],
    env: { ...common, ...env },
    logFile: path.join(folders.state.serviceLogs, `${name}.log`),
    stopMs,
    ...(user === "root" ? {} : { ids: users.ids[user] }),
  });
  return {
    driver: service("driver", "root", {
      FNCTL_DRIVER_SOCKET: socket.driver,
      FNCTL_RUNSC: runsc,
      FNCTL_RUN_DIR: settings.runDir,
      FNCTL_BASES_DIR: folders.state.bases,
      FNCTL_LAYERS_DIR: folders.state.layers,
      FNCTL_EGRESS_ROOT: folders.run.egressSources,
      FNCTL_CONTROL_UID: String(users.ids.control.uid),
      FNCTL_DATA_GID: String(users.dataGid),
      FNCTL_LOG_GID: String(users.ids.logs.gid),
      FNCTL_EGRESS_UID: String(users.ids.egress.uid),
      FNCTL_CGROUP_PARENT: cgroupParent(settings.mark),
    }),
    collector: service("log-collector", "logs", {
      FNCTL_LOG_SOCKET: socket.collector,
      FNCTL_LOG_PIPES: folders.run.logPipes,
      FNCTL_LOG_DIR: folders.state.logs,
    }),
    egress: service("egress", "egress", {
      FNCTL_EGRESS_ROOT: folders.run.egressSources,
      FNCTL_EGRESS_CONTROL_SOCKET: socket.egressAdmin,
      FNCTL_EGRESS_FEED: socket.egressFeed,
      FNCTL_EGRESS_CALLS: socket.calls,
      FNCTL_INTERNAL_SECRET_FILE: folders.secretFiles.egress,
      FNCTL_EGRESS_ALLOW_PRIVATE: registries.addresses.join(","),
      FNCTL_EGRESS_FUNCTION_PRIVATE: settings.egress.functionPrivate ?? "",
      UV_THREADPOOL_SIZE: "64",
      FNCTL_EGRESS_DNS: settings.egress.dns ?? "",
      FNCTL_EGRESS_DAY_CAPS: settings.egress.dayCaps ?? "",
      ...(settings.upstreamProxy === undefined ? {} : { FNCTL_EGRESS_UPSTREAM_PROXY: settings.upstreamProxy }),
    }),
    controlPlane: (connections: Connections) =>
      service("control-plane", "control", {
        FNCTL_DB_APP: connections.app,
        FNCTL_DB_SYSTEM: connections.system,
        FNCTL_DB_JOBS: connections.jobs,
        FNCTL_API_SOCKET: socket.api,
        FNCTL_CONTROL_SOCKET: socket.control,
        FNCTL_DRIVER_SOCKET: socket.driver,
        FNCTL_EGRESS_CONTROL_SOCKET: socket.egressAdmin,
        FNCTL_EGRESS_FEED_SOCKET: socket.egressFeed,
        FNCTL_LOG_SOCKET: socket.collector,
        FNCTL_INTERNAL_SECRET_FILE: folders.secretFiles.control,
        FNCTL_IMAGES_DIR: folders.state.images,
        FNCTL_LAYERS_DIR: folders.state.layers,
        FNCTL_SPOOL_DIR: folders.state.spool,
        FNCTL_FUNCTION_DOMAIN: settings.domain,
        FNCTL_PUBLIC_URL: settings.publicUrl,
        FNCTL_POOL_SIZE: settings.poolSize,
        FNCTL_BUILD_REGISTRIES: JSON.stringify({
          npmRegistry: registries.npmRegistry,
          pypiIndex: registries.pypiIndex,
          hosts: registries.hosts,
        }),
        FNCTL_DATA_GID: String(users.dataGid),
        ...settings.passedOn,
        ...(caBundle === undefined ? {} : { FNCTL_CA_BUNDLE_FILE: caBundle }),
      }),
    gateway: service("gateway", "gateway", gatewayEnv(settings, folders)),
  };
}

function gatewayEnv(settings: Settings, folders: Folders): Record<string, string> {
  const socket = sockets(folders);
  return {
    FNCTL_INGRESS_LISTEN: settings.listen,
    FNCTL_API_HOSTS: [...new Set(["localhost", "127.0.0.1", "[::1]", new URL(settings.publicUrl).hostname])].join(","),
    FNCTL_FUNCTION_DOMAIN: settings.domain,
    FNCTL_CONTROL_SOCKET: socket.control,
    FNCTL_API_SOCKET: socket.api,
    FNCTL_CALLS_LISTEN: socket.calls,
    FNCTL_ADMIN_SOCKET: socket.gatewayAdmin,
    FNCTL_INTERNAL_SECRET_FILE: folders.secretFiles.gateway,
    FNCTL_ACCESS_LOG: path.join(folders.state.accessLog, "access.ndjson"),
  };
}
