// The chart on the suite's cluster.
import { inject } from "vitest";
import { renderChart } from "./render-chart.ts";

export { CHART, REQUIRED, settings } from "./render-chart.ts";

/** Some of its templates (none: all) with the default values and what `set` changes. */
export const chart = (templates: string[], set: Record<string, string> = {}, release = "fnctl", namespace = "default"): Promise<string> =>
  renderChart(inject("cluster"), templates, set, release, namespace);
