// The management API as it is, in this process: real Postgres, real stores, no sandbox and no root. For tests of its routes.
import { createTokenStore } from "@fnctl/control-plane/accounts/token-store";
import { createApi } from "@fnctl/control-plane/api/app";
import { createIdempotency } from "@fnctl/control-plane/api/idempotency";
import { DEFAULT_CAPS, type TenantCaps } from "@fnctl/control-plane/contract/tenant-caps";
import type { FreeSpace } from "@fnctl/control-plane/housekeeping/free-space";
import { createInstanceTable } from "@fnctl/control-plane/instances/managed";
import { createToken } from "@fnctl/control-plane/tokens/token";
import { Readable } from "node:stream";
import { createBuildPlatform } from "./build-platform.ts";
import type { TestPostgres } from "./test-postgres.ts";

const ROOM = { require: async () => undefined };

export async function createApiPlatform(
  postgres: TestPostgres,
  caps: TenantCaps = DEFAULT_CAPS,
  freeSpace: Pick<FreeSpace, "require"> = ROOM,
) {
  const platform = await createBuildPlatform(postgres, caps);
  const errors: unknown[] = [];
  const { db, system } = platform;
  const app = createApi({
    ...platform,
    freeSpace,
    tokens: createTokenStore(db, caps),
    endpoint: { domain: "localhost", publicUrl: "http://localhost:8080" },
    instances: createInstanceTable(),
    idempotency: createIdempotency(db),
    enqueueBuild: () => undefined,
    published: async () => undefined,
    raised: async () => undefined,
    buildChanged: async () => undefined,
    onRemoved: () => undefined,
    logs: { read: async () => Readable.from([]) },
    conditions: { current: () => [], check: async () => [] },
    onError: (error) => void errors.push(error),
  });
  const operator = createToken();
  await system.createOperatorToken({ id: crypto.randomUUID(), name: "root", prefix: operator.prefix, hash: operator.hash });
  return {
    platform,
    app,
    /** What the API logged as the platform's own fault. */
    errors,
    operator: operator.secret,
    /** A tenant's token. */
    async token(tenantId: string, scopes: ("admin" | "deploy" | "read" | "invoke")[] = ["admin"]): Promise<string> {
      const fresh = createToken();
      await system.createToken({ id: crypto.randomUUID(), tenantId, name: "test", prefix: fresh.prefix, hash: fresh.hash, scopes });
      return fresh.secret;
    },
    close: () => platform.close(),
  };
}
export type ApiPlatform = Awaited<ReturnType<typeof createApiPlatform>>;
