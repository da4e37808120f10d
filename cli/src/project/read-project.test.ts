import fc from "fast-check";
import { expect, test } from "vitest";
import { CliError, type Mistake } from "../errors/cli-error.ts";
import { MOST_BYTES, parseProject } from "./read-project.ts";

function mistakesIn(text: string): readonly Mistake[] {
  try {
    parseProject(text, "fnctl.yaml");
  } catch (error) {
    if (error instanceof CliError) return error.options.mistakes ?? [];
    throw error;
  }
  return [];
}
const mistakesOf = (text: string): string[] => mistakesIn(text).map(({ line, column, message }) => `${line}:${column} ${message}`);

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

test("mistakes in what it may reach, each at its rule", () => {
  const text = (egress: string[]) => ["name: hello", "runtime: node24", ...egress].join("\n");
  const rules = [
    "egress:",
    "  allow:",
    "    - api.example.com",
    "    - https://api.example.com",
    "    - {host: db.example.com}",
    "    - {host: '*.com', ports: [5432, 0]}",
    "    - 127.0.0.01:80",
    "    - 10.1.2.3/16",
    "    - '[::ffff:10.1.2.3]:443'",
    "    - 10.1.0.0/16:5432",
  ];
  const write =
    "write a host name, an address or a range with an optional port: api.example.com, db.example.com:5432, *.example.com, 10.1.2.3, 10.1.0.0/16:5432 or [2001:db8::1]";
  expect(mistakesOf(text(rules))).toEqual([
    `6:7 allow: ${write}`,
    "7:7 ports is missing",
    `8:14 host: ${write}`,
    "8:37 ports: a port is a number from 1 to 65535",
    ...[9, 10, 11].map((line) => `${line}:7 allow: ${write}`),
  ]);
  expect(mistakesOf(text(["egress: everything"]))).toEqual(["3:9 egress: write `public`, or `allow:` with a list of host names"]);
  expect(mistakesOf(text(["egress: {alow: [a.example]}"]))).toEqual([
    "3:9 allow is missing",
    "3:10 unknown setting alow; did you mean allow?",
  ]);
  const [fn] = parseProject(text(["egress:", "  allow: [api.example.com, 'db.example.com:5432']"]), "fnctl.yaml");
  expect(fn?.config.egress).toEqual({ allow: ["api.example.com", "db.example.com:5432"] });
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

test("aliases that multiply, lead nowhere or to themselves, nesting without end, and files without end are mistakes", () => {
  const bomb = [
    "a: &a [x,x,x,x,x,x,x,x,x,x]",
    ..."bcdefghi".split("").map((name, at) => `${name}: &${name} [${Array(10).fill(`*${"abcdefgh"[at]}`).join()}]`),
  ];
  expect(mistakesOf(bomb.join("\n"))).toEqual([expect.stringMatching(/^1:1 .*alias/)]);
  expect(mistakesOf("name: *nowhere\n")).not.toEqual([]);
  expect(mistakesOf("env: &e\n  A: *e\n")).not.toEqual([]);
  expect(mistakesOf("[".repeat(20_000))).not.toEqual([]);
  expect(mistakesOf("{a: ".repeat(20_000))).not.toEqual([]);
  expect(mistakesOf(`name: ${"a".repeat(MOST_BYTES - 6)}`)[0]).not.toContain("longer than");
  expect(mistakesOf(`name: ${"a".repeat(MOST_BYTES - 5)}`)).toEqual([`1:1 is longer than ${MOST_BYTES} bytes`]);
});

test("whatever is in the file, what comes out is functions or mistakes", () => {
  const pieces = ["name", "runtime", "functions", "env", "cors", ": ", ":", "\n", "\n  ", "- ", "&a ", "*a", "<<: ", "? ", "!!map ", "!!binary ", "{", "}", "[", "]", "'", '"', "|\n", "#", "---\n", "...\n", "%YAML 9\n", "\t", "\0", "node24", "1e999", "0x", "~", "\ud800"]; // prettier-ignore
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 30 }), (parts) => {
      for (const { line, message } of mistakesIn(parts.join(""))) expect([line > 0, message.length > 0]).toEqual([true, true]);
    }),
    { numRuns: 3_000 },
  );
});
