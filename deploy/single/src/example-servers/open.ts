// Opens the example servers' address to the first tenant's functions, as an operator does.
import { Client } from "undici";
import type { FirstTenant } from "../first-tenant.ts";
import { OPENED } from "./names.ts";

/** `first`: with the operator's token, which is known at a platform's first start only. */
export async function openExampleServers(apiSocket: string, { tenantId, operatorSecret }: FirstTenant): Promise<void> {
  const client = new Client("http://localhost", { socketPath: apiSocket });
  try {
    const answer = await client.request({
      method: "PUT",
      path: `/v1/tenants/${tenantId}/egress-ceiling`,
      headers: { authorization: `Bearer ${operatorSecret}`, "content-type": "application/json" },
      body: JSON.stringify({ private: [OPENED] }),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`The example servers could not be opened to the tenant: ${text}`);
  } finally {
    await client.close();
  }
}
