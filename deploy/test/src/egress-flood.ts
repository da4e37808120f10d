// Opens many connections to the proxy at once, as a process of its own, and keeps those that stay. Its arguments: the way, the target, how many.
// Prints how many got which answer (0: none); its input's end ends it.
import { openTunnel, type Way } from "./egress-way.ts";

/** At a time: fewer than a listener tells that they are too many. */
const BATCH = 200;
const [way = "{}", authority = "", count = "0"] = process.argv.slice(2);
const answers: Record<number, number> = {};
for (let i = 0; i < Number(count); i += BATCH) {
  const batch = await Promise.all(Array.from({ length: BATCH }, () => openTunnel(JSON.parse(way) as Way, authority)));
  for (const { status } of batch) answers[status] = (answers[status] ?? 0) + 1;
}
process.stdout.write(`${JSON.stringify(answers)}\n`);
process.stdin.on("end", () => process.exit(0)).resume();
