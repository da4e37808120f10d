// The first import of each main: a container's first process is not ended by a signal that it does not handle, and whatever is imported next
// may take a while. JavaScript that does not return cannot be ended this way; whoever asks then kills.
const exit = process.exit.bind(process); // user code sees another one while it is loaded
const end = (): void => exit(0);
let next = end;

process.on("SIGTERM", () => {
  const now = next;
  next = end; // asked twice, nothing is waited for
  now();
});

/** From now on `drain` is called first; it ends the process when nothing is left to do. */
export function drainOnSigterm(drain: () => void): void {
  next = drain;
}
