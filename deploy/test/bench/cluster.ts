// `npm run bench:cluster [-- --only NAME,NAME]`: measures the platform on a real cluster, which is started for this or chosen by
// KUBECONFIG. Never part of the tests.
import { parseArgs } from "node:util";
import { clusterScript, type Cluster } from "../cluster/cluster.ts";
import { createCustomer, type Customer } from "../cluster/customer.ts";
import { createPlatformHost, type PlatformHost } from "../cluster/platform-host.ts";
import { cold, warm } from "./cluster-latency.ts";
import { rolling, tenants } from "./cluster-load.ts";
import { printTable, type Row } from "./rows.ts";

/** The order matters: `cold` leaves the platform without warm pods. */
const BENCHMARKS: Record<string, (platform: PlatformHost, customer: Customer) => Promise<Row[]>> = { rolling, cold, warm, tenants };
const { values } = parseArgs({ options: { only: { type: "string" } } });
const chosenNames = values.only?.split(",") ?? Object.keys(BENCHMARKS);
const unknown = chosenNames.filter((name) => BENCHMARKS[name] === undefined);
if (unknown.length > 0) {
  process.stderr.write(`Unknown: ${unknown.join(", ")}. There are: ${Object.keys(BENCHMARKS).join(", ")}\n`);
  process.exit(2);
}

const { KUBECONFIG: chosen, FNCTL_TEST_BIN, FNCTL_TEST_REGISTRY: registry = "10.201.0.2:5000" } = process.env;
const kubeconfig = chosen ?? (await clusterScript("up"));
const bin = chosen === undefined ? await clusterScript("bin") : (FNCTL_TEST_BIN ?? null);
const cluster: Cluster = { kubeconfig, bin, registry, image: "" };
const platform = await createPlatformHost(cluster);
const customer = await createCustomer(platform);
const rows: Row[] = [];
try {
  for (const [name, measure] of Object.entries(BENCHMARKS))
    if (chosenNames.includes(name)) rows.push(...(await measure(platform, customer)));
} finally {
  process.stdout.write(printTable(rows));
  await customer.close();
  await platform.close();
  if (chosen === undefined) await clusterScript("down");
}
process.exit(0);
