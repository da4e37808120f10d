// `fnctl deploy` of a function without dependencies, by phase; each deploy has changed source, so nothing is skipped.
import { startPlatform } from "./platform.ts";
import { quantile, type Row } from "./rows.ts";

const DEPLOYS = 12;
const PHASES = ["validate", "upload", "build", "publish", "rollout", "ready"];

export async function deployPhases(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    const phases = new Map<string, number[]>(PHASES.map((phase) => [phase, []]));
    const totals: number[] = [];
    for (let turn = 0; turn <= DEPLOYS; turn++) {
      const source = `export default { fetch: () => new Response("hello ${turn}") };\n`;
      const events = await platform.deploy("hello", { "index.js": source });
      await new Promise((resolve) => setTimeout(resolve, 1_500)); // the pool is full again, as between two deploys of a person
      if (turn === 0) continue;
      for (const { type, phase, state, ms } of events)
        if (type === "phase" && state === "done" && phase !== undefined) phases.get(phase)?.push(ms ?? 0);
      totals.push(events.find(({ type }) => type === "result")?.totalMs ?? Number.NaN);
    }
    return [
      {
        what: "deploy without dependencies, upload to live, p50",
        value: quantile(totals, 0.5),
        unit: "ms",
        goal: 1000,
        note: `${totals.length} deploys; Deno Subhosting, not isolated: < 1 s`,
      },
      { what: "same, worst", value: Math.max(...totals), unit: "ms" },
      ...PHASES.map((phase): Row => ({ what: `phase ${phase}, p50`, value: quantile(phases.get(phase)!, 0.5), unit: "ms" })),
    ];
  } finally {
    await platform.stop();
  }
}
