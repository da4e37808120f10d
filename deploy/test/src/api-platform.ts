// The real management API in this process, with a real Postgres and real stores, without sandbox and root; for tests of its routes.
import { createTokenStore } from "@fnctl/control-plane/accounts/token-store";
import { createToken } from "@fnctl/control-plane/accounts/token";
import { createApi } from "@fnctl/control-plane/api/app";
import { DEFAULT_CAPS, type TenantCaps } from "@fnctl/control-plane/contract/tenant-caps";
import type { FreeSpace } from "@fnctl/control-plane/service/free-space";
import { createEgressRecords } from "@fnctl/control-plane/egress/records";
import { createEgressUsage } from "@fnctl/control-plane/egress/usage";
import { createOwnRules } from "@fnctl/control-plane/egress/own-rules";
import { createInstanceTable } from "@fnctl/control-plane/instances/leases/instance-table";
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { by, createBuildPlatform } from "./build-platform.ts";
import type { TestPostgres } from "./test-postgres.ts";

const ROOM = { require: async () => undefined };
const AT_ONCE = async () => ({ egress: true });

export async function createApiPlatform(
  postgres: TestPostgres,
  caps: TenantCaps = DEFAULT_CAPS,
  freeSpace: Pick<FreeSpace, "require"> = ROOM,
  published: () => Promise<{ egress: boolean }> = AT_ONCE,
) {
  const platform = await createBuildPlatform(postgres, caps);
  const errors: unknown[] = [];
  const { db } = platform;
  const app = createApi({
    ...platform,
    freeSpace,
    tokens: createTokenStore(db, caps),
    ownRules: createOwnRules(db),
    egressRecords: createEgressRecords(db, (error) => void errors.push(error)),
    egressUsage: createEgressUsage(db, (error) => void errors.push(error)),
    endpoint: { domain: "localhost", publicUrl: "http://localhost:8080" },
    instances: createInstanceTable(),
    enqueueBuild: () => undefined,
    published,
    raised: async () => undefined,
    buildChanged: async () => undefined,
    onRemoved: () => undefined,
    logs: { read: async () => Readable.from([]) },
    conditions: { current: () => [], check: async () => [] },
    onError: (error) => void errors.push(error),
  });
  const operatorSecret = await operatorOf(postgres, platform.tenants);
  return {
    platform,
    app,
    /** Errors that the API reported as the platform's own fault. */
    errors,
    operator: operatorSecret,
    /** Makes a token of a tenant. */
    async token(tenantId: string, scopes: ("admin" | "deploy" | "read" | "invoke")[] = ["admin"]): Promise<string> {
      const tokens = createTokenStore(db, DEFAULT_CAPS);
      return (await tokens.create(by(tenantId), { name: "test", scopes, expiresAt: null })).secret;
    },
    close: () => platform.close(),
  };
}
/** Each database has one, since a platform has its first tenant once. */
const operators = new WeakMap<TestPostgres, string>();
async function operatorOf(postgres: TestPostgres, tenants: Awaited<ReturnType<typeof createBuildPlatform>>["tenants"]): Promise<string> {
  const known = operators.get(postgres);
  if (known !== undefined) return known;
  const [secret, operatorSecret] = [createToken().secret, createToken().secret];
  const slug = `root-${randomBytes(6).toString("hex")}`;
  await tenants.createFirst({ slug, tokenName: "root", secret, operatorSecret });
  operators.set(postgres, operatorSecret);
  return operatorSecret;
}
export type ApiPlatform = Awaited<ReturnType<typeof createApiPlatform>>;
