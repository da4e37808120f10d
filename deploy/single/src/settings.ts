// Settings of the single-machine mode: flags and environment, read once.
import { createHash } from "node:crypto";
import os from "node:os";
import path from "node:path";
import { z } from "zod";

const schema = z.object({
  FNCTL_STATE_DIR: z.string().startsWith("/").max(200).default("/var/lib/fnctl"),
  FNCTL_CACHE_DIR: z.string().startsWith("/").default("/var/cache/fnctl"),
  FNCTL_LISTEN: z
    .string()
    .regex(/^[^:]+:\d{1,5}$/, "host:port")
    .default("127.0.0.1:8080"),
  FNCTL_DOMAIN: z
    .string()
    .regex(/^[a-z0-9.-]+$/)
    .default("localhost"),
  FNCTL_PUBLIC_URL: z.url().optional(),
  FNCTL_TENANT: z
    .string()
    .regex(/^[a-z](?:-?[a-z0-9])*$/)
    .default("demo"),
  FNCTL_POOL_SIZE: z.string().regex(/^\d+$/).default("2"),
  FNCTL_BUILD_SLOTS: z.string().regex(/^\d+$/).optional(),
  FNCTL_TENANT_CAPS: z.string().optional(),
  FNCTL_MIN_FREE_MIB: z.string().regex(/^\d+$/).optional(),
  FNCTL_EGRESS_FUNCTION_PRIVATE: z.string().optional(),
  FNCTL_EGRESS_DNS: z.string().optional(),
  FNCTL_EGRESS_DAY_CAPS: z.string().optional(),
  FNCTL_CONFIG: z.string().optional(),
  XDG_CONFIG_HOME: z.string().optional(),
  DATABASE_URL: z.string().startsWith("postgres").optional(),
  NODE_EXTRA_CA_CERTS: z.string().optional(),
  SSL_CERT_FILE: z.string().optional(),
  HTTPS_PROXY: z.string().optional(),
});

export type Settings = ReturnType<typeof readSettings>;

export function readSettings(environment: Record<string, string | undefined>) {
  const parsed = schema.safeParse(environment);
  if (!parsed.success) {
    throw new Error(
      `These settings are wrong:\n${parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`).join("\n")}`,
    );
  }
  const env = parsed.data;
  const stateDir = path.resolve(env.FNCTL_STATE_DIR);
  const mark = createHash("sha256").update(stateDir).digest("hex").slice(0, 8);
  const config = env.FNCTL_CONFIG ?? path.join(env.XDG_CONFIG_HOME ?? path.join(os.homedir(), ".config"), "fnctl", "config.yaml");
  return {
    stateDir,
    cacheDir: env.FNCTL_CACHE_DIR,
    /**
     * A short path however long the state folder's name is, because Unix socket paths have at most 108 bytes (unix(7)). Two platforms never
     * share it.
     */
    runDir: `/run/fnctl/${mark}`,
    mark,
    listen: env.FNCTL_LISTEN,
    domain: env.FNCTL_DOMAIN,
    publicUrl: env.FNCTL_PUBLIC_URL ?? `http://localhost:${env.FNCTL_LISTEN.split(":").at(-1)}`,
    tenant: env.FNCTL_TENANT,
    poolSize: env.FNCTL_POOL_SIZE,
    /** Settings that are passed on to the control plane, which checks them. */
    passedOn: only({
      FNCTL_BUILD_SLOTS: env.FNCTL_BUILD_SLOTS,
      FNCTL_TENANT_CAPS: env.FNCTL_TENANT_CAPS,
      FNCTL_MIN_FREE_MIB: env.FNCTL_MIN_FREE_MIB,
    }),
    /** Likewise to the egress proxy: private addresses that functions may reach, DNS servers for the names that they ask for, caps of a day. */
    egress: { functionPrivate: env.FNCTL_EGRESS_FUNCTION_PRIVATE, dns: env.FNCTL_EGRESS_DNS, dayCaps: env.FNCTL_EGRESS_DAY_CAPS },
    cliConfig: config,
    contextName: stateDir === "/var/lib/fnctl" ? "local" : `local-${mark}`,
    databaseUrl: env.DATABASE_URL,
    caBundle: env.NODE_EXTRA_CA_CERTS ?? env.SSL_CERT_FILE,
    upstreamProxy: env.HTTPS_PROXY,
  };
}

const only = (settings: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(settings).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
