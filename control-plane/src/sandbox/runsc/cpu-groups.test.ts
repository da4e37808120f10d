// Real cgroups of the machine, in a folder of the test's own.
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rmdir } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { createCpuGroups, findCpuHierarchy } from "./cpu-groups.ts";

const hierarchy = await findCpuHierarchy();

test.skipIf(hierarchy === undefined)("a tenant's group goes with its last instance, and never while another one moves in", async () => {
  const parent = `/fnctl-test-${randomUUID().slice(0, 8)}`;
  const root = hierarchy?.root ?? "";
  const groups = createCpuGroups(hierarchy!, parent);
  await groups.prepare();
  const own = (id: string) => path.join(root, parent, id);
  const begin = async (id: string) => {
    await mkdir(own(id));
    await groups.place("one", id);
  };
  await begin("0");
  for (let turn = 1; turn <= 100; turn++) {
    await Promise.all([groups.remove("one", String(turn - 1)), begin(String(turn))]);
    expect(existsSync(path.join(root, groups.placeOf("one", String(turn))))).toBe(true);
    await rmdir(own(String(turn - 1)));
  }
  await groups.remove("one", "100");
  await rmdir(own("100"));
  await rmdir(path.join(root, parent)); // nothing is left in it
});
