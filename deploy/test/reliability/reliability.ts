// `npm run reliability [-- --short] [-- --only NAME]`: measures what a neighbour notices of a greedy tenant, an anonymous client, or
// processes that are killed. Times are judged only here and in `npm run bench`, never in tests; here against a control that burns the same
// processor time in the same run.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { burn, whileCounting, type Counted, type Processors } from "./burn.ts";
import type { SampleOptions, Sampled } from "./load.ts";
import { report } from "./report.ts";
import { judge, type Mode, type Scenario, type Stage, type Verdict } from "./scenario.ts";
import { sampleApart } from "./sampler.ts";
import { SCENARIOS } from "./scenarios.ts";
import { openStage } from "./stage.ts";

/** Milliseconds of each of the three parts of a scenario. */
const PART_MS = { full: 20_000, short: 5_000 };
const SAMPLES = 500;
/** Longer than a request may take, because requests to a removed function are still answered. */
const SETTLE_S = { full: 75, short: 5 };
/** A machine that CI shares may be busy with something else for a moment; a real fault shows in every try. */
const TRIES = { full: 1, short: 3 };

async function run(name: string, scenario: Scenario, stage: Stage, mode: Mode): Promise<Verdict> {
  const { clients, pauseMs, samples = SAMPLES } = scenario;
  const least = mode === "full" ? samples : Math.min(samples, SAMPLES);
  const options: SampleOptions = { samples: least, ms: PART_MS[mode], clients, pauseMs };
  const measure = () => sampleApart({ name, neighbour: stage.neighbour, options });
  await scenario.prepare(stage);
  await settled(stage, SETTLE_S[mode]);
  const calm = await whileCounting(stage.cgroupParent, measure);
  const end = await scenario.begin(stage);
  const storm = await whileCounting(stage.cgroupParent, measure).finally(end);
  const processors = beside(calm, storm);
  await settled(stage, SETTLE_S[mode]);
  const putOut = await burn(stage.cgroupParent, processors);
  const control = await whileCounting(stage.cgroupParent, measure).finally(putOut);
  const faults = (await scenario.after?.(stage)) ?? [];
  const burnt = beside(calm, control);
  return judge(scenario, { calm: calm.value, control: control.value, storm: storm.value, processors, burnt, faults });
}

/** Waits until work of the former scenario and of this one's preparation is over, but no longer than `seconds`. */
async function settled({ cgroupParent }: Stage, seconds: number): Promise<void> {
  for (let turn = 0; turn < seconds; turn++) {
    const { processors } = await whileCounting(cgroupParent, () => sleep(1_000));
    if (processors.sandboxes + processors.services < 0.2) return;
  }
}

/** The processor time used beside the neighbour's own requests, of which there were fewer than in the calm part. */
function beside(calm: Counted<Sampled>, meanwhile: Counted<Sampled>): Processors {
  const rate = ({ value, seconds }: Counted<Sampled>) => value.latencies.length / seconds;
  const fewer = rate(meanwhile) / Math.max(rate(calm), 0.01);
  const more = (what: keyof Processors) => Math.max(0, meanwhile.processors[what] - calm.processors[what] * fewer);
  return { sandboxes: more("sandboxes"), services: more("services"), load: more("load") };
}

const { values } = parseArgs({ options: { short: { type: "boolean" }, only: { type: "string" }, save: { type: "string" } } });
const mode: Mode = values.short === true ? "short" : "full";
const chosen = Object.entries(SCENARIOS).filter(([name]) => values.only === undefined || values.only.split(",").includes(name));
if (chosen.length === 0) throw new Error(`There is no such scenario; there are ${Object.keys(SCENARIOS).join(", ")}.`);

const verdicts: Verdict[] = [];
const { stage, close } = await openStage();
try {
  for (const [name, scenario] of chosen)
    for (let attempt = 1; ; attempt++) {
      process.stderr.write(`· ${name}: ${scenario.what}\n`);
      const verdict = await run(name, scenario, stage, mode);
      if (verdict.slow !== undefined) process.stderr.write(`  ${verdict.slow}\n`);
      for (const fault of verdict.faults) process.stderr.write(`  ${attempt < TRIES[mode] ? "again, because" : "failed:"} ${fault}\n`);
      if (verdict.faults.length > 0 && attempt < TRIES[mode]) continue;
      verdicts.push(verdict);
      break;
    }
} finally {
  await close();
}
const text = report(verdicts, mode);
process.stdout.write(text);
if (values.save !== undefined) await writeFile(path.resolve(values.save), text);
const count = (which: (verdict: Verdict) => boolean) => verdicts.filter(which).length;
const failed = count(({ faults, slow }) => faults.length > 0 || (slow !== undefined && mode === "full"));
const skipped = count(({ faults, slow }) => faults.length === 0 && slow !== undefined && mode === "short");
const results = process.env["FNCTL_RESULTS_DIR"];
if (results !== undefined)
  await writeFile(path.join(results, "reliability.counts"), `${verdicts.length - failed - skipped} ${failed} ${skipped}`);
process.exit(failed === 0 ? 0 : 1); // connections that are kept would hold the event loop
