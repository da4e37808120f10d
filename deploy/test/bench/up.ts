// Measures how long an operator waits for `npm run up`: with a new state folder, and again with the folder that the first start left. The
// release is built before.
import { rm } from "node:fs/promises";
import { newPlatform, start, stop } from "../e2e/platform.ts";
import { quantile, type Row } from "./rows.ts";

const STARTS = 5;

export async function upAgain(): Promise<Row[]> {
  const platform = await newPlatform("bench");
  const timed = async () => {
    const begun = performance.now();
    await start(platform);
    const ms = performance.now() - begun;
    await stop(platform);
    return ms;
  };
  try {
    const first = await timed();
    const again: number[] = [];
    for (let turn = 0; turn < STARTS; turn++) again.push(await timed());
    return [
      {
        what: "npm run up --no-examples, again, p50",
        value: quantile(again, 0.5),
        unit: "ms",
        note: `worst ${Math.round(Math.max(...again))} ms`,
      },
      { what: "same, with a new state folder", value: first, unit: "ms" },
    ];
  } finally {
    await rm(platform.stateDir, { recursive: true, force: true });
  }
}
