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
      await new Promise((resolve) => setTimeout(resolve, 1_500)); // lets the pool fill up again, as between two deploys of a person
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

const AT_ONCE = 12;

/** Deploys twelve functions of one tenant at once until all are live; through the API, so that the CLI's own start is not measured. */
export async function deploysAtOnce(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    await platform.deploy("first", { "index.js": "export default { fetch: () => new Response('first') };\n" });
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const begun = performance.now();
    const ends = await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, at) => {
        const source = `export default { fetch: () => new Response("hello ${at}") };\n`;
        const { state } = await platform.client.deploy(`hello-${at}`, { "index.js": source });
        if (state !== "succeeded") throw new Error(`hello-${at}: ${state}`);
        return performance.now() - begun;
      }),
    );
    return [
      {
        what: `${AT_ONCE} deploys without dependencies at once, all live`,
        value: Math.max(...ends),
        unit: "ms",
        goal: 6000,
        note: `half of them after ${Math.round(quantile(ends, 0.5))} ms; a builder and a first instance for each`,
      },
    ];
  } finally {
    await platform.stop();
  }
}
