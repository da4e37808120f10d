// The four database roles (SECURITY F10). The platform connects with no other role; the superuser only makes these.
import type pg from "pg";

export const ROLES = {
  /** Migrations and the queue's DDL only. */
  owner: "fnctl_owner",
  /** Serves tenants' requests, under row-level security. */
  app: "fnctl_app",
  /** Token look-up by hash, change feed, reconcile: it has policies of its own. */
  system: "fnctl_system",
  /** The queue's schema only. */
  jobs: "fnctl_jobs",
} as const;
export type RoleName = keyof typeof ROLES;

/**
 * Makes the roles that are missing; safe to run 20 at once. `passwords` is for servers that are reached over TCP; the embedded server
 * authenticates by operating-system user (peer) and needs none.
 */
export async function ensureRoles(admin: pg.ClientBase, passwords?: Record<RoleName, string>): Promise<void> {
  await admin.query("SELECT pg_advisory_lock(731002)");
  try {
    for (const [key, role] of Object.entries(ROLES)) {
      const known = await admin.query("SELECT 1 FROM pg_roles WHERE rolname = $1", [role]);
      if (known.rowCount === 0) await admin.query(`CREATE ROLE ${role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE`);
      const password = passwords?.[key as RoleName];
      if (password !== undefined) await admin.query(`ALTER ROLE ${role} PASSWORD ${admin.escapeLiteral(password)}`);
    }
    const { rows } = await admin.query<{ name: string }>("SELECT current_database() AS name");
    const database = admin.escapeIdentifier(rows[0]?.name ?? "");
    await admin.query(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC`);
    await admin.query(`GRANT CONNECT ON DATABASE ${database} TO ${ROLES.app}, ${ROLES.system}, ${ROLES.jobs}`);
    await admin.query(`GRANT CONNECT, CREATE ON DATABASE ${database} TO ${ROLES.owner}`);
  } finally {
    await admin.query("SELECT pg_advisory_unlock(731002)");
  }
}
