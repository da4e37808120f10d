// Prints the closing line: adds up the counts that the suites left in the results folder. A suite without a result counts as one failure.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

const folder = process.argv[2] ?? ".";
const total = { passed: 0, failed: 0, skipped: 0 };

for (const name of readdirSync(folder)) {
  const text = readFileSync(path.join(folder, name), "utf8");
  if (name.endsWith(".counts")) {
    const [passed = 0, failed = 0, skipped = 0] = text.split(" ").map(Number);
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  } else if (name.endsWith(".json")) {
    const report = JSON.parse(text) as {
      numPassedTests: number;
      numFailedTests: number;
      numPendingTests: number;
      numFailedTestSuites: number;
      numTodoTests: number;
    };
    total.passed += report.numPassedTests;
    total.failed += report.numFailedTests === 0 && report.numFailedTestSuites > 0 ? report.numFailedTestSuites : report.numFailedTests;
    total.skipped += report.numPendingTests + report.numTodoTests;
  }
}
if (total.passed + total.failed === 0) total.failed = 1; // nothing ran
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exit(total.failed === 0 ? 0 : 1);
