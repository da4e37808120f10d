import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { expect, test } from "vitest";
import { createStyle } from "../terminal/style.ts";
import { CliError } from "./cli-error.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { renderError, toCliError } from "./report.ts";

const plain = createStyle(false);

test("code, one line of cause, what to do, next command, request id", () => {
  const error = new CliError("NOT_FOUND", "There is no function x.", { hint: "Look at the list.", requestId: "req-12345678" });
  expect(renderError(error, plain)).toBe(
    "error NOT_FOUND: There is no function x.\n  fix:     Look at the list.\n  next:    fnctl ls\n  request: req-12345678\n",
  );
});

test("the user's own stack is shown, and cannot steer the terminal", () => {
  const text = renderError(
    new CliError("INIT_FAILED", "It failed: \u001b]0;title\u0007", { facts: { stack: "Error: x\n    at \u001b[2Jindex.ts:3:1\u202e" } }),
    plain,
  );
  expect(text).toContain("    Error: x\n        at \\x1b[2Jindex.ts:3:1\\u202e\n");
  expect(text).not.toMatch(/[\u001b\u0007\u202e]/);
});

test("what a function printed last is shown, and cannot steer the terminal", () => {
  const facts = { output: "loading\n\u001b[2Jgone" };
  expect(renderError(new CliError("INIT_FAILED", "It ended.", { facts }), plain)).toContain(
    "\n  its last output:\n    loading\n    \\x1b[2Jgone\n",
  );
});

test("mistakes are listed as file:line:column", () => {
  const error = new CliError("INVALID_CONFIG", "fnctl.yaml has a mistake.", {
    mistakes: [{ file: "fnctl.yaml", line: 3, column: 9, message: "memory: too much" }],
  });
  expect(renderError(error, plain)).toContain("\n  fnctl.yaml:3:9  memory: too much\n");
});

test.each([
  [new CliError("USAGE", ""), 2],
  [new CliError("INVALID_CONFIG", ""), 2],
  [new CliError("NOT_SIGNED_IN", ""), 3],
  [new CliError("FORBIDDEN", ""), 3],
  [new CliError("NOT_FOUND", ""), 4],
  [new CliError("QUOTA_EXCEEDED", ""), 5],
  [new CliError("INVALID_ARCHIVE", ""), 6],
  [new CliError("BUILD_FAILED", ""), 6],
  [new CliError("INIT_FAILED", ""), 7],
  [new CliError("FUNCTION_STATUS", ""), 8],
  [new CliError("INTERRUPTED", ""), 130],
  [new CliError("A_CODE_OF_TOMORROW", ""), 1],
  [toCliError(new TypeError("bug")), 1],
  [toCliError(new PlatformError("QUOTA_EXCEEDED", "")), 5],
  [toCliError(Object.assign(new Error("EACCES: x"), { code: "EACCES", syscall: "open" })), 2],
])("exit code of %o", (error, exitCode) => {
  expect(exitCodeOf(error)).toBe(exitCode);
});
