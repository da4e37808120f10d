// 100,000 routes in one ingress: time to look one up, to change one, to take a snapshot over, and the memory they take.
import { hostLabel } from "@fnctl/control-plane/contract/names";
import { createRouteTable } from "../src/ingress/replica/route-table.ts";
import { makeRoute } from "../src/testing/control-double.ts";

const COUNT = 100_000;
const routes = Array.from({ length: COUNT }, (_, i) => makeRoute({ tenant: `tenant-${i % 1_000}`, function: `function-${i}` }));
const labels = routes.map((route) => hostLabel(route.function, route.tenant));
const table = createRouteTable();
const before = process.memoryUsage().heapUsed;
const time = (work: () => void): number => {
  const start = performance.now();
  work();
  return performance.now() - start;
};
const snapshotMs = time(() => routes.forEach((route) => table.set(route)));
let found = 0;
const lookupMs = time(() => {
  for (let i = 0; i < 1_000_000; i += 1) if (table.find(labels[(i * 7_919) % COUNT]!) !== undefined) found += 1;
});
const updateMs = time(() => {
  for (let i = 0; i < 10_000; i += 1) table.set({ ...routes[(i * 31) % COUNT]!, max: 5 });
});
if (found !== 1_000_000 || table.size !== COUNT) throw new Error("the table lost routes");
process.stdout.write(
  `${JSON.stringify({ routes: COUNT, lookupMicroseconds: Number((lookupMs / 1_000).toFixed(3)), updateMicroseconds: Number((updateMs / 10).toFixed(3)), snapshotMs: Number(snapshotMs.toFixed(1)), indexMib: Math.round((process.memoryUsage().heapUsed - before) / 1_048_576), goal: { lookupMicroseconds: 5, updateMicroseconds: 1_000 } }, null, 2)}\n`,
);
