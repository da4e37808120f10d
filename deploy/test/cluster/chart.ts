// The Helm chart, rendered by the real helm.
import path from "node:path";
import { helm } from "./kubectl.ts";

export const CHART = path.resolve(import.meta.dirname, "../../cluster/chart");

/** Some of its templates with the default values and what `set` changes. */
export const chart = (templates: string[], set: Record<string, string> = {}): Promise<string> =>
  helm([
    "template",
    "fnctl",
    CHART,
    // A helm that was built without its release flags takes every cluster for 1.20.
    "--kube-version",
    "v1.34.4",
    ...templates.flatMap((file) => ["--show-only", file]),
    ...Object.entries(set).flatMap(([key, value]) => ["--set", `${key}=${value}`]),
  ]);
