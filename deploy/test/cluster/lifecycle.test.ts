// The suite's own cluster ends without a trace, and starts again.
import { expect, inject, test } from "vitest";
import { clusterScript, run } from "./cluster.ts";
import { footprint } from "./footprint.ts";

const before = inject("footprintBefore");

test.skipIf(before === null)(
  "down leaves no process, mount, link, cgroup or rule; up works again after it",
  async () => {
    const running = await footprint();
    // Positive control: the same look finds the cluster while it runs.
    for (const kind of ["process", "link", "cgroup", "netns"])
      expect(
        running.ours.some((line) => line.startsWith(kind)),
        kind,
      ).toBe(true);

    await clusterScript("down");
    try {
      expect(await footprint()).toEqual(before);
    } finally {
      await clusterScript("up");
    }
    expect(await run(inject("cluster"), "kubectl", ["get", "nodes", "-o", "name"])).toBe("node/node1\n");
  },
  120_000,
);
