// Makes the text that `npm run up` prints at the end. Has no side effects.
import type { ExampleResult } from "./examples.ts";
import { OPENED, WEATHER } from "./example-servers/names.ts";
import type { FirstTenant } from "./first-tenant.ts";
import type { Settings } from "./settings.ts";

export interface SummaryInput {
  settings: Settings;
  first: FirstTenant | undefined;
  results: readonly ExampleResult[];
  exampleServers: boolean;
  seconds: number;
  cli: string;
}

export function summary({ settings, first, results, exampleServers, seconds, cli }: SummaryInput): string {
  const lines = ["", `fnctl is up at ${settings.publicUrl} (${seconds.toFixed(1)} s). State: ${settings.stateDir}`];
  if (first !== undefined) {
    lines.push(
      "",
      `Tenant ${first.tenant}. Its token, shown this once (the CLI has it already):`,
      `  ${first.secret}`,
      "Operator's token, shown this once:",
      `  ${first.operatorSecret}`,
    );
  }
  if (results.length > 0) {
    lines.push("", "Examples:");
    const width = Math.max(...results.map((result) => result.name.length));
    for (const result of results) lines.push(`  ${result.name.padEnd(width)}  ${result.outcome}  ${result.url}`);
  }
  if (exampleServers) lines.push("", ...aboutServers(settings, first));
  const sample = results[0]?.name ?? "hello";
  lines.push(
    "",
    "Try:",
    `  alias fnctl='node ${cli}'`,
    `  fnctl invoke ${sample}`,
    `  fnctl logs ${sample}`,
    "  fnctl init my-function && cd my-function && fnctl deploy",
    "",
  );
  return lines.join("\n");
}

function aboutServers({ stateDir, tenant }: Settings, first: FirstTenant | undefined): string[] {
  const { addresses, ports } = OPENED;
  const ranges = JSON.stringify({ private: [OPENED] });
  return [
    `Example servers on ${addresses}, ports ${ports.join(" and ")}: https://${WEATHER}/now?city=Oslo (signed by ${stateDir}/example-servers/ca.pem)`,
    "and the database postgresql://orders:orders@db.orders.test:5432/orders.",
    first === undefined
      ? `Open to the tenant if an operator did so: PUT /v1/tenants/{id}/egress-ceiling with ${ranges}`
      : `Open to the functions of tenant ${tenant}, and to nobody else's.`,
  ];
}
