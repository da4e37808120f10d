// Renders the chart with the tools of the suite's cluster.
import { inject } from "vitest";
import { renderChart } from "./render-chart.ts";

export { CHART, REQUIRED, settings } from "./render-chart.ts";

/** Renders `templates` (all if empty) with the default values and the changes in `set`. */
export const chart = (templates: string[], set: Record<string, string> = {}, release = "fnctl", namespace = "default"): Promise<string> =>
  renderChart(inject("cluster"), templates, set, release, namespace);
