import { expect, test } from "vitest";
import { CliError } from "../errors/cli-error.ts";
import { parseProject } from "./read-project.ts";

function mistakesOf(text: string): string[] {
  try {
    parseProject(text, "fnctl.yaml");
  } catch (error) {
    if (error instanceof CliError) return (error.options.mistakes ?? []).map((at) => `${at.line}:${at.column} ${at.message}`);
    throw error;
  }
  return [];
}

test("units become the contract's, the rest its defaults", () => {
  const [fn] = parseProject("name: hello\nruntime: node24\nmemory: 1GB\ntimeout: 500ms\nidleTimeout: 5m\n", "fnctl.yaml");
  expect(fn).toMatchObject({
    name: "hello",
    folder: ".",
    config: { memoryMib: 1024, timeoutMs: 500, idleTimeoutMs: 300_000, access: "private", max: 10 },
  });
});

test("a setting of the environment is the text as it was written", () => {
  const [fn] = parseProject("name: hello\nruntime: node24\nenv:\n  A: 1.10\n  B: true\n  C: 0x10\n  D: text\n", "fnctl.yaml");
  expect(fn?.config.env).toEqual({ A: "1.10", B: "true", C: "0x10", D: "text" });
});

test("a map of functions, each with its folder", () => {
  const text =
    "functions:\n  api: { path: services/api, runtime: node24 }\n  jobs:\n    path: jobs\n    runtime: python3.13\n    env: { N: 007 }\n";
  expect(parseProject(text, "fnctl.yaml")).toMatchObject([
    { name: "api", folder: "services/api", config: { runtime: "node24" } },
    { name: "jobs", folder: "jobs", config: { runtime: "python3.13", env: { N: "007" } } },
  ]);
});

test("every mistake at once, each where it stands", () => {
  const text = [
    "name: Bad_Name",
    "runtim: node24",
    "memory: 300MB",
    "timeout: 30",
    "idleTimeout: 100ms",
    "min: 5",
    "max: 2",
    "env:",
    "  FNCTL_X: 1",
    "  'a b': 2",
    "  N:",
    "cors: {origin: x}",
  ].join("\n");
  const found = mistakesOf(text);
  expect(found).toEqual([
    "1:1 runtime is missing: one of node24, python3.13",
    "1:7 name: use a-z, 0-9 and single dashes, beginning with a letter",
    "2:1 unknown setting runtim; did you mean runtime?",
    "3:9 memory: one of 128MB, 256MB, 512MB, 1024MB, 2048MB",
    "4:10 timeout: write a duration with its unit: 30s, 500ms or 5m",
    "5:14 idleTimeout: from 1s to 60m",
    "6:6 min: min is above max",
    "9:3 FNCTL_X: reserved by the platform or the runtime",
    "10:3 a b: letters, digits and _ only",
    expect.stringMatching(/^11:\d+ N: a text; write '' for an empty one$/),
    "12:7 origins is missing",
    "12:8 unknown setting origin; did you mean origins?",
  ]);
});

test("mistakes in a map are found in their function", () => {
  expect(
    mistakesOf("functions:\n  ok: {path: a, runtime: node24}\n  Bad: {path: b, runtime: node24}\n  third:\n    runtime: ruby\nname: x\n"),
  ).toEqual([
    "3:3 Bad: use a-z, 0-9 and single dashes, beginning with a letter",
    "5:5 path is missing",
    expect.stringMatching(/^5:14 runtime: /),
    "6:1 name does not belong here",
  ]);
});

test("broken YAML, double keys and an empty file", () => {
  expect(mistakesOf("name: a\n  runtime: b\n")[0]).toMatch(/^\d+:\d+ /);
  expect(mistakesOf("name: a\nname: b\nruntime: node24\n")).toEqual([expect.stringMatching(/^2:1 /)]);
  expect(mistakesOf("")).toHaveLength(1);
  expect(mistakesOf("- a\n")).toHaveLength(1);
});
