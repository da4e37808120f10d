// Every main handles SIGTERM before it does anything else: modules run in the order of their imports, so that import comes first.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";

test.each([
  ["node/src/main.ts", /^import .*$/m, /"\.\/end-on-sigterm\.ts"/],
  ["builder/src/main.ts", /^import .*$/m, /"\.\.\/\.\.\/node\/src\/end-on-sigterm\.ts"/],
  ["node/src/end-on-sigterm.ts", /^(?:import|process).*$/m, /^process\.on\("SIGTERM"/],
  ["python/fnctl_bootstrap/__main__.py", /^(?:from|import) .*$/m, /^from \. import end_on_sigterm/],
  ["base/enter.pl", /^[^#\n].*$/m, /^\$SIG\{TERM\} = /],
])("%s", async (file, first, expected) => {
  const text = await readFile(join(import.meta.dirname, "..", file), "utf8");
  expect(first.exec(text)?.[0]).toMatch(expected);
});
