// Makes further tenants through the operator's API.
import { operatorTokenIn } from "../src/api-client.ts";
import { api, stateDir, token } from "./api.ts";
import { until } from "./until.ts";

export interface Tenant {
  id: string;
  slug: string;
  token: string;
}

export const operatorToken = (): string => operatorTokenIn(stateDir);

/** The tenant that `up` made. */
export async function firstTenant(): Promise<Tenant> {
  const { tenant } = (await (await api("GET", "/v1/whoami")).json()) as { tenant: { id: string; slug: string } };
  return { ...tenant, token: token() };
}

/** A new tenant; resolves when the gateway knows its token. */
export async function createTenant(slug: string): Promise<Tenant> {
  const made = await api("POST", "/v1/tenants", { body: { slug }, token: operatorToken() });
  if (made.status !== 201) throw new Error(`tenant ${slug}: ${made.status} ${await made.text()}`);
  const body = (await made.json()) as { id: string; token: { secret: string } };
  const tenant = { id: body.id, slug, token: body.token.secret };
  await until(
    () => statusFor(tenant.token),
    (status) => status === 404,
  );
  return tenant;
}

/** Calls a function that does not exist: 404 means that the gateway accepts the token, 401 that it does not. */
export async function statusFor(secret: string): Promise<number> {
  return (await api("GET", "/fn/acme/there-is-no-such-function", { token: secret })).status;
}
