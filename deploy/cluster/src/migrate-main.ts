// The chart's migration job: makes the database roles, then brings the schema forward.
import "@fnctl/control-plane/service/shutdown";
import path from "node:path";
import pg from "pg";
import { BUILD_QUEUE, BUILD_QUEUE_OPTIONS } from "@fnctl/control-plane/builds/queue";
import { migrate } from "@fnctl/migrations/migrate";
import { ROLES, ensureRoles, type RoleName } from "@fnctl/migrations/roles";

function passwordsOf(environment: NodeJS.ProcessEnv): Record<RoleName, string> {
  const missing = Object.keys(ROLES).filter((role) => (environment[`PASSWORD_${role.toUpperCase()}`] ?? "") === "");
  if (missing.length > 0) throw new Error(`No password for the database roles ${missing.join(", ")}.`);
  return Object.fromEntries(Object.keys(ROLES).map((role) => [role, environment[`PASSWORD_${role.toUpperCase()}`]])) as Record<
    RoleName,
    string
  >;
}

async function main(environment: NodeJS.ProcessEnv): Promise<void> {
  const { FNCTL_DB_ADMIN: admin, FNCTL_DB_OWNER: owner } = environment;
  if (admin === undefined || owner === undefined) throw new Error("FNCTL_DB_ADMIN and FNCTL_DB_OWNER are missing.");
  const client = new pg.Client({ connectionString: admin });
  await client.connect();
  await ensureRoles(client, passwordsOf(environment));
  await client.end();
  const applied = await migrate({
    owner: { connectionString: owner },
    folder: path.join(import.meta.dirname, "migrations"),
    queues: { [BUILD_QUEUE]: BUILD_QUEUE_OPTIONS },
  });
  process.stdout.write(`${JSON.stringify({ applied })}\n`);
}

await main(process.env);
