// Settings of the control plane process.
import { z } from "zod";
import { listenAddressSchema } from "../contract/endpoint.ts";
import { tenantCapsSchema } from "../contract/tenant-caps.ts";
import { absolutePath, wholeNumber } from "../service/settings/environment.ts";

const connection = z.string().min(1, "a Postgres connection string");
const json = <T extends z.ZodType>(schema: T) =>
  z.string().transform((text, context) => {
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      context.addIssue({ code: "custom", message: "not the JSON that is expected" });
      return z.NEVER;
    }
  });

const common = {
  FNCTL_DB_APP: connection,
  FNCTL_DB_SYSTEM: connection,
  FNCTL_DB_JOBS: connection,
  FNCTL_API_SOCKET: listenAddressSchema,
  FNCTL_CONTROL_SOCKET: listenAddressSchema,
  /** Where egress proxies read their part of the change stream; on one machine its folder's group is the proxy's. */
  FNCTL_EGRESS_FEED_SOCKET: listenAddressSchema,
  FNCTL_INTERNAL_SECRET_FILE: absolutePath,
  /** The certificate of these listeners if they use TCP. */
  FNCTL_INTERNAL_CERT_FILE: absolutePath.optional(),
  FNCTL_INTERNAL_KEY_FILE: absolutePath.optional(),
  FNCTL_LAYERS_DIR: absolutePath,
  FNCTL_SPOOL_DIR: absolutePath,
  FNCTL_FUNCTION_DOMAIN: z.string().min(1),
  FNCTL_PUBLIC_URL: z.url(),
  FNCTL_POOL_SIZE: wholeNumber.default(2),
  FNCTL_BUILD_REGISTRIES: json(
    z.object({
      npmRegistry: z.string().optional(),
      pypiIndex: z.string().optional(),
      hosts: z.array(z.object({ host: z.string(), ports: z.array(z.int()) })),
    }),
  ),
  /** Builders at a time; absent: as many as there are cores and fit into free memory, in a cluster 8. */
  FNCTL_BUILD_SLOTS: wholeNumber.optional(),
  /** Free disk space, MiB, below which no deploys are taken; absent: 1024, in a cluster 256 of the control plane's own scratch space. */
  FNCTL_MIN_FREE_MIB: wholeNumber.optional(),
  /** Caps of every tenant that differ from the defaults, JSON (`contract/tenant-caps.ts`). */
  FNCTL_TENANT_CAPS: json(tenantCapsSchema.partial()).optional(),
  FNCTL_CA_BUNDLE_FILE: absolutePath.optional(),
  FNCTL_DATA_GID: wholeNumber.optional(),
  /** Name of this control plane in the ownership lease: a process that comes back under the same name gets its lease again at once. */
  FNCTL_HOLDER: z.string().min(1).max(253).default("the one on this machine"),
  /** Where it serves its health and role: `host:port`. */
  FNCTL_HEALTH_LISTEN: listenAddressSchema.optional(),
};
const single = {
  FNCTL_DRIVER: z.literal("runsc").default("runsc"),
  FNCTL_DRIVER_SOCKET: absolutePath,
  FNCTL_EGRESS_CONTROL_SOCKET: absolutePath,
  FNCTL_LOG_SOCKET: absolutePath,
  FNCTL_IMAGES_DIR: absolutePath,
};
const dnsLabel = (most: number) =>
  z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, "a DNS label")
    .max(most);
const cluster = {
  FNCTL_DRIVER: z.literal("kubernetes"),
  /** Where images are pushed: `https://host/prefix`. */
  FNCTL_REGISTRY_URL: z.url({ protocol: /^https?$/ }),
  /** JSON file: username and password. */
  FNCTL_REGISTRY_CREDENTIALS_FILE: absolutePath.optional(),
  /** The same registry as nodes name it: `host/prefix`. */
  FNCTL_IMAGE_PREFIX: z.string().regex(/^[a-z0-9.:/_-]+$/, "host/prefix"),
  /** The platform's own namespace, and its account in it. */
  FNCTL_NAMESPACE: dnsLabel(63),
  FNCTL_SERVICE_ACCOUNT: dnsLabel(63),
  FNCTL_TENANT_PREFIX: dnsLabel(20),
  FNCTL_TENANT_ROLE: z.string().min(1),
  FNCTL_POD_SECURITY: z.string().regex(/^v1\.\d+$/, "v1.NN"),
  /** Services of the parts, in the platform's namespace. */
  FNCTL_EGRESS_SERVICE: dnsLabel(63),
  FNCTL_GATEWAY_SERVICE: dnsLabel(63),
  FNCTL_CONTROL_SERVICE: dnsLabel(63),
  /**
   * The nodes' log agents: their headless service, the secret they share with the control plane, and the authority of their certificate.
   */
  FNCTL_AGENT_SERVICE: dnsLabel(63),
  FNCTL_AGENT_SECRET_FILE: absolutePath,
  FNCTL_AGENT_CA_FILE: absolutePath,
  /** Certificate of these listeners; log agents recognise the control plane by it too. */
  FNCTL_INTERNAL_CERT_FILE: absolutePath,
  FNCTL_INTERNAL_KEY_FILE: absolutePath,
  /** The Epoch object, in the platform's namespace. */
  FNCTL_EPOCH_NAME: dnsLabel(63),
  /** This pod's own address. */
  FNCTL_POD_ADDRESS: z.union([z.ipv4(), z.ipv6()]),
  /** Set by the kubelet. */
  KUBERNETES_SERVICE_HOST: z.string().min(1),
  KUBERNETES_SERVICE_PORT: wholeNumber,
  NODE_TLS_REJECT_UNAUTHORIZED: z.string().optional(),
};
export const controlPlaneSettings = z.discriminatedUnion("FNCTL_DRIVER", [
  z.object({ ...common, ...single }),
  z.object({ ...common, ...cluster }),
]);
export type ControlPlaneSettings = z.infer<typeof controlPlaneSettings>;
