// Settings of the egress process. Read once, in main.
import { Resolver } from "node:dns";
import { z } from "zod";
import { listenAddressSchema } from "@fnctl/control-plane/contract/endpoint";
import { readSettings } from "@fnctl/control-plane/service/settings/environment";
import { cidrSchema } from "@fnctl/control-plane/contract/cidr";

const list = z
  .string()
  .default("")
  .transform((text) =>
    text
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  );
const cidrList = list.pipe(z.array(cidrSchema));
const serverList = list.refine(areServers, "addresses of DNS servers, such as 10.0.0.2 or 10.0.0.2:5353, separated by commas");
function areServers(servers: string[]): boolean {
  try {
    new Resolver().setServers(servers);
    return true;
  } catch {
    return false;
  }
}
const proxySchema = z
  .url({ protocol: /^http$/, error: "http://host:port of a proxy that speaks CONNECT" })
  .transform((text) => new URL(text))
  .optional();

const cap = z.int().min(1).optional();
const dayCapsSchema = z
  .preprocess(
    (value) => (value === undefined || value === "" ? "{}" : value),
    z.string().transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: "custom", message: "not JSON" });
        return z.NEVER;
      }
    }),
  )
  .pipe(z.strictObject({ functionBytes: cap, functionConnections: cap, tenantBytes: cap, tenantConnections: cap }));

const schema = z
  .object({
    /** On one machine: the folder of the sandboxes' sockets. */
    FNCTL_EGRESS_ROOT: z
      .string()
      .startsWith("/", "an absolute path")
      .max(60, "at most 60 bytes: socket paths below it are bounded")
      .optional(),
    /** In a cluster: the listener for sandboxes, which show a credential. */
    FNCTL_EGRESS_LISTEN: listenAddressSchema.optional(),
    FNCTL_EGRESS_CONTROL_SOCKET: listenAddressSchema,
    /** Where the control plane serves the proxy's part of the change stream. Absent: tenants have no rules of their own. */
    FNCTL_EGRESS_FEED: listenAddressSchema.optional(),
    /** PEM of the authority that must have signed the control plane's certificate, where it is called over TCP. */
    FNCTL_INTERNAL_CA_FILE: z.string().min(1).optional(),
    /** The gateways' door for calls of functions by functions. Absent: they cannot call each other. */
    FNCTL_EGRESS_CALLS: listenAddressSchema.optional(),
    FNCTL_INTERNAL_SECRET_FILE: z.string().min(1),
    /** The operator's own proxy. If it is set, names that cannot be resolved here are left to it. */
    FNCTL_EGRESS_UPSTREAM_PROXY: z.preprocess((value) => (value === "" ? undefined : value), proxySchema),
    /** Exceptions from the deny list for builds, e.g. the range of a registry mirror; and for functions. */
    FNCTL_EGRESS_ALLOW_PRIVATE: cidrList,
    FNCTL_EGRESS_FUNCTION_PRIVATE: cidrList,
    /** In a cluster: hosts of the platform's own parts, to which nobody opens the way. */
    FNCTL_EGRESS_PLATFORM_HOSTS: list,
    /** DNS servers to ask for functions' names. Absent: the machine's own resolver. */
    FNCTL_EGRESS_DNS: serverList,
    /** What a function, and all of a tenant's, may move in a day, where it is not as usual (limits.ts): JSON. */
    FNCTL_EGRESS_DAY_CAPS: dayCapsSchema,
    FNCTL_EGRESS_LOG: z.string().min(1).default("-"),
  })
  .refine((env) => (env.FNCTL_EGRESS_ROOT === undefined) !== (env.FNCTL_EGRESS_LISTEN === undefined), {
    message: "exactly one of FNCTL_EGRESS_ROOT (one machine) and FNCTL_EGRESS_LISTEN (cluster)",
    path: ["FNCTL_EGRESS_ROOT"],
  })
  .transform((env) => ({
    root: env.FNCTL_EGRESS_ROOT?.replace(/\/+$/, ""),
    listen: env.FNCTL_EGRESS_LISTEN,
    control: env.FNCTL_EGRESS_CONTROL_SOCKET,
    feed: env.FNCTL_EGRESS_FEED,
    caFile: env.FNCTL_INTERNAL_CA_FILE,
    calls: env.FNCTL_EGRESS_CALLS,
    secretFile: env.FNCTL_INTERNAL_SECRET_FILE,
    upstreamProxy: env.FNCTL_EGRESS_UPSTREAM_PROXY,
    allowPrivate: env.FNCTL_EGRESS_ALLOW_PRIVATE,
    functionPrivate: env.FNCTL_EGRESS_FUNCTION_PRIVATE,
    platformHosts: env.FNCTL_EGRESS_PLATFORM_HOSTS,
    dns: env.FNCTL_EGRESS_DNS,
    dayCaps: env.FNCTL_EGRESS_DAY_CAPS,
    log: env.FNCTL_EGRESS_LOG,
  }));

export type EgressSettings = z.infer<typeof schema>;
export const readEgressSettings = (env: NodeJS.ProcessEnv): EgressSettings => readSettings(schema, env);
