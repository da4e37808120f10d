// The Helm chart, rendered by the real helm.
import path from "node:path";
import { run, type Cluster } from "./cluster.ts";

export const CHART = path.resolve(import.meta.dirname, "../../cluster/chart");

/** Values that have no default. */
export const REQUIRED = {
  "image.prefix": "registry.example.com/fnctl",
  "image.digest": `sha256:${"0".repeat(64)}`,
  "registry.url": "https://registry.example.com/fnctl",
  "database.host": "postgres.example.com",
};

/** Turns values into arguments of helm. */
export const settings = (set: Record<string, string>): string[] =>
  Object.entries(set).flatMap(([key, value]) => ["--set", `${key}=${value}`]);

/** Renders `templates` (all if empty) with the default values and the changes in `set`. */
export const renderChart = (
  cluster: Cluster,
  templates: string[],
  set: Record<string, string>,
  release: string,
  namespace: string,
): Promise<string> =>
  run(cluster, "helm", [
    "template",
    release,
    CHART,
    `--namespace=${namespace}`,
    // A helm that was built without its release flags assumes that every cluster is 1.20.
    "--kube-version=v1.34.4",
    ...templates.flatMap((file) => ["--show-only", file]),
    ...settings({ ...REQUIRED, ...set }),
  ]);
