// The README's table of a tenant's caps and the values that the chart accepts match the code.
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { DEFAULT_CAPS } from "@fnctl/control-plane/contract/tenant-caps";

const readme = readFileSync(path.resolve(import.meta.dirname, "../../../README.md"), "utf8");

test("every cap stands in the README with its default", () => {
  const section = readme.slice(readme.indexOf("### What a tenant may have"), readme.indexOf("## On Kubernetes"));
  const rows = [...section.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map(([, name, number]) => [name, Number(number)]);
  expect(Object.fromEntries(rows)).toEqual(DEFAULT_CAPS);
  const mib = 1024 * 1024;
  expect(section).toContain(`${LIMITS.logBytesPerFunction / mib} MiB of kept logs (${LIMITS.logBytesPerTenant / mib} MiB`);
  expect(section).toContain(`${LIMITS.logLinesPerSecond} log lines a second`);
  expect(section).toContain(`at most ${LIMITS.tokenScopes} scopes`);
});

test("every cap is a value of the chart", () => {
  const file = path.resolve(import.meta.dirname, "../../cluster/chart/values.schema.json");
  const { properties } = JSON.parse(readFileSync(file, "utf8")) as {
    properties: { tenants: { properties: { caps: { properties: object } } } };
  };
  expect(Object.keys(properties.tenants.properties.caps.properties)).toEqual(Object.keys(DEFAULT_CAPS));
});
