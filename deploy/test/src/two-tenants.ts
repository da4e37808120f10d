// A database as the platform makes it, with two tenants that each have a function of the same name.
import pg from "pg";
import { startTestPostgres } from "./test-postgres.ts";

export const [A, B] = ["01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b"] as const;

export async function openTwoTenants() {
  const postgres = await startTestPostgres();
  await Promise.all(Array.from({ length: 20 }, () => postgres.migrate())); // 20 at once, as 20 replicas would
  const admin = new pg.Client({ connectionString: postgres.admin, options: "-c search_path=fnctl" });
  await admin.connect();
  for (const [id, slug] of [
    [A, "a-tenant"],
    [B, "b-tenant"],
  ])
    await admin.query("INSERT INTO tenant (id, slug) VALUES ($1, $2)", [id, slug]);
  for (const id of [A, B])
    await admin.query("INSERT INTO function (id, tenant_id, name, runtime) VALUES ($1, $1, 'same-name', 'node24')", [id]);
  return {
    postgres,
    admin,
    async close(): Promise<void> {
      await admin.end();
      await postgres.stop();
    },
  };
}
