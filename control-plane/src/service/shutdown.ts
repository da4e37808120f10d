// How a process of ours ends. Imported first: as a container's first process it is not ended by a signal that it does not handle, whatever it
// is still loading (signal(7); pid_namespaces(7)).
import process from "node:process";

/** As a shell tells an end by this signal; for a job this is no success. */
const BY_SIGNAL = { SIGTERM: 143, SIGINT: 130 } as const;
let asked: ((signal: string) => void) | undefined;

for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.on(signal, () => (asked === undefined ? process.exit(BY_SIGNAL[signal]) : asked(signal)));

/** From now on `end` is called instead of ending at once, for each signal; the last one given holds. */
export function onShutdown(end: (signal: string) => void): void {
  asked = end;
}
