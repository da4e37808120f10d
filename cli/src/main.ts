// The entry: turns the process into a `CliIo`, runs one command, leaves with its exit code.
import { homedir } from "node:os";
import { runCli } from "./app.ts";

const interrupt = new AbortController();
const onInterrupt = () => {
  // The second Ctrl-C does not wait for anything.
  if (interrupt.signal.aborted) process.exit(130);
  interrupt.abort();
};
process.on("SIGINT", onInterrupt);
process.on("SIGTERM", onInterrupt);
// `fnctl logs | head`: the reader has gone, which is not a failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const exitCode = await runCli({
  argv: process.argv.slice(2),
  env: process.env,
  cwd: process.cwd(),
  home: homedir(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupt.signal,
});
// Flush, then leave: kept-alive connections and an open stdin must not hold the process.
process.stdout.write("", () => process.exit(exitCode));
