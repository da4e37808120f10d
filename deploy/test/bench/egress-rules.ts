// How soon a rule holds: from the request that denies a host to the end of an open connection to it, with 10,000 functions of 10,000 tenants, each
// with a rule of its own.
import pg from "pg";
import { openEgressPlane } from "../src/egress-plane.ts";
import { quantile, type Row } from "./rows.ts";

const [TENANTS, SAMPLES] = [10_000, 100];
const MANY = `
  INSERT INTO fnctl.tenant (id, slug) SELECT gen_random_uuid(), 'many-' || n FROM generate_series(1, ${TENANTS}) AS n;
  INSERT INTO fnctl.function (id, tenant_id, name, runtime) SELECT gen_random_uuid(), id, 'many', 'node24' FROM fnctl.tenant WHERE slug LIKE 'many-%';
  INSERT INTO fnctl.egress_rule (tenant_id, id, function_id, action, host, ports)
    SELECT tenant_id, gen_random_uuid(), id, 'allow', 'a.example', '{443}' FROM fnctl.function WHERE name = 'many'`;

export async function egressRules(): Promise<Row[]> {
  const plane = await openEgressPlane();
  try {
    const admin = new pg.Client({ connectionString: plane.postgres.admin });
    await admin.connect();
    await admin.query(MANY);
    await admin.end();
    const begun = performance.now();
    await plane.startPlane();
    await plane.startProxy();
    const owner = await plane.owner();
    const known = performance.now() - begun;
    const instance = await plane.sandbox(owner, "a.example");
    const times: number[] = [];
    for (let i = 0; i < SAMPLES; i++) {
      const { closed } = await plane.tunnel(instance, "a.example");
      const asked = performance.now();
      const denied = plane.rule(owner, "deny", `a.example:${plane.port}`);
      await closed;
      times.push(performance.now() - asked);
      await denied;
      await plane.rule(owner, "allow", `a.example:${plane.port}`);
    }
    const note = `${SAMPLES} changes, ${TENANTS} tenants with a rule and a function each`;
    return [
      { what: "a rule, asked for to enforced, p50", value: quantile(times, 0.5), unit: "ms" },
      { what: "a rule, asked for to enforced, p99", value: quantile(times, 0.99), unit: "ms", goal: 2_000, note },
      { what: "all rules read and told to a new proxy", value: known, unit: "ms" },
    ];
  } finally {
    await plane.close();
  }
}
