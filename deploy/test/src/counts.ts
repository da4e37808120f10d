// Prints what failed and the closing line: adds up the counts that the suites left in the results folder. A suite without a result counts
// as one failure. The failures are told again here, at the end, because often only a log's end is kept.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { stripVTControlCharacters } from "node:util";

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numFailedTestSuites: number;
  numTodoTests: number;
  testResults?: {
    name: string;
    status: string;
    message?: string;
    assertionResults: { fullName: string; status: string; failureMessages?: string[] }[];
  }[];
}

/** Lines of a failure's message that are told. */
const MESSAGE_LINES = 12;

const folder = process.argv[2] ?? ".";
const total = { passed: 0, failed: 0, skipped: 0 };

const shorten = (message: string): string =>
  stripVTControlCharacters(message)
    .split("\n")
    .slice(0, MESSAGE_LINES)
    .map((line) => `    ${line}`)
    .join("\n");

function tellFailures(report: Report): void {
  for (const file of report.testResults ?? []) {
    const failed = file.assertionResults.filter(({ status }) => status === "failed");
    for (const { fullName, failureMessages } of failed)
      process.stdout.write(
        `failed: ${path.relative(process.cwd(), file.name)}: ${fullName}\n${shorten((failureMessages ?? []).join("\n"))}\n`,
      );
    if (file.status === "failed" && failed.length === 0)
      process.stdout.write(`failed: ${path.relative(process.cwd(), file.name)}\n${shorten(file.message ?? "")}\n`);
  }
}

for (const name of readdirSync(folder)) {
  const text = readFileSync(path.join(folder, name), "utf8");
  if (name.endsWith(".counts")) {
    const [passed = 0, failed = 0, skipped = 0] = text.split(" ").map(Number);
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
    if (failed > 0) process.stdout.write(`failed: ${failed} in ${name.slice(0, -".counts".length)}\n`);
  } else if (name.endsWith(".json")) {
    const report = JSON.parse(text) as Report;
    total.passed += report.numPassedTests;
    total.failed += report.numFailedTests === 0 && report.numFailedTestSuites > 0 ? report.numFailedTestSuites : report.numFailedTests;
    total.skipped += report.numPendingTests + report.numTodoTests;
    tellFailures(report);
  }
}
if (total.passed + total.failed === 0) total.failed = 1; // nothing ran
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exit(total.failed === 0 ? 0 : 1);
