// Settings of the ingress process. Read once, in main.
import { isIP } from "node:net";
import { z } from "zod";
import { listenAddressSchema } from "@fnctl/control-plane/contract/endpoint";
import { gatewayIdSchema } from "@fnctl/control-plane/contract/holder";
import { readSettings } from "@fnctl/control-plane/service/settings/environment";

const list = (text: string): string[] =>
  text
    .split(",")
    .map((item) => item.trim().toLowerCase())
    .filter((item) => item !== "");
const DOMAIN = /^(?=.{1,190}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const isHost = (host: string): boolean =>
  DOMAIN.test(host) || (host.startsWith("[") && host.endsWith("]") && isIP(host.slice(1, -1)) === 6);
const flag = z.enum(["true", "false", "1", "0"]).transform((text) => text === "true" || text === "1");

const schema = z
  .object({
    FNCTL_INGRESS_LISTEN: listenAddressSchema.default({ kind: "tcp", host: "127.0.0.1", port: 8080 }),
    /** Functions answer at `<function>--<tenant>.<domain>`. */
    FNCTL_FUNCTION_DOMAIN: z.string().toLowerCase().regex(DOMAIN, "a domain name").default("localhost"),
    /** Host names (without port) at which the API and path routes are served. */
    FNCTL_API_HOSTS: z
      .string()
      .default("localhost,127.0.0.1,[::1]")
      .transform(list)
      .refine((hosts) => hosts.every(isHost), "host names or addresses without a port, separated by commas"),
    /** Names this process, for whoever reports its end (contract/holder.ts). */
    FNCTL_GATEWAY_ID: gatewayIdSchema.default("ingress"),
    /** Where the egress proxy brings calls of functions by functions. Absent: they cannot call each other. */
    FNCTL_CALLS_LISTEN: listenAddressSchema.optional(),
    FNCTL_CONTROL_SOCKET: listenAddressSchema,
    FNCTL_API_SOCKET: listenAddressSchema,
    FNCTL_ADMIN_SOCKET: listenAddressSchema,
    /** PEM of the authority that must have signed the control plane's certificate, where it is called over TCP. */
    FNCTL_INTERNAL_CA_FILE: z.string().min(1).optional(),
    FNCTL_INTERNAL_SECRET_FILE: z.string().min(1),
    /** A file, or `-` for stdout. */
    FNCTL_ACCESS_LOG: z.string().min(1).default("-"),
    FNCTL_ALLOW_PATH_ROUTES: flag.default(true),
    /** Addresses (CIDR) of proxies in front whose X-Forwarded-* fields are trusted. */
    FNCTL_TRUSTED_PROXIES: z.string().default("").transform(list),
    /** How long to go on accepting after SIGTERM, until load balancers have noticed, milliseconds. */
    FNCTL_DRAIN_DELAY_MS: z.coerce.number().int().min(0).max(60_000).default(0),
  })
  .transform((env) => ({
    listen: env.FNCTL_INGRESS_LISTEN,
    functionDomain: env.FNCTL_FUNCTION_DOMAIN,
    apiHosts: env.FNCTL_API_HOSTS,
    gatewayId: env.FNCTL_GATEWAY_ID,
    calls: env.FNCTL_CALLS_LISTEN,
    control: env.FNCTL_CONTROL_SOCKET,
    api: env.FNCTL_API_SOCKET,
    admin: env.FNCTL_ADMIN_SOCKET,
    caFile: env.FNCTL_INTERNAL_CA_FILE,
    secretFile: env.FNCTL_INTERNAL_SECRET_FILE,
    accessLog: env.FNCTL_ACCESS_LOG,
    pathRoutes: env.FNCTL_ALLOW_PATH_ROUTES,
    trustedProxies: env.FNCTL_TRUSTED_PROXIES,
    drainDelayMs: env.FNCTL_DRAIN_DELAY_MS,
  }));

export type IngressSettings = z.infer<typeof schema>;
export const readIngressSettings = (env: NodeJS.ProcessEnv): IngressSettings => readSettings(schema, env);
