// Ends a process of ours on SIGTERM and SIGINT. This module must be imported first: a container's first process is not ended by a signal
// without a handler, and so must handle signals even while it is still loading (signal(7); pid_namespaces(7)).
import process from "node:process";

/** The exit code that a shell reports for an end by this signal; for a Kubernetes Job it counts as a failure. */
const BY_SIGNAL = { SIGTERM: 143, SIGINT: 130 } as const;
let asked: ((signal: string) => void) | undefined;

for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.on(signal, () => (asked === undefined ? process.exit(BY_SIGNAL[signal]) : asked(signal)));

/** From now on each signal calls `end` instead of ending the process at once; a later call replaces `end`. */
export function onShutdown(end: (signal: string) => void): void {
  asked = end;
}
