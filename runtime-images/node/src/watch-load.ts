// What would end the process while the user's code is loaded becomes the answer to `init`: its owner is told what happened, and where. Once
// the function serves, ending the process is a crash again.
export class EndedWhileLoading extends Error {}

/** Settles as `load` does, or rejects with what its code did beside it: a call of process.exit, an exception that nobody caught. */
export async function watchLoad<T>(load: () => Promise<T>): Promise<T> {
  const { exit } = process;
  let watching = true;
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => (fail = reject));
  // It may have been taken for later use, so it goes on being a way to end the process.
  process.exit = (code) => {
    if (!watching) return exit.call(process, code);
    const error = new EndedWhileLoading(`The code called process.exit(${code ?? process.exitCode ?? 0}) while it was loaded.`);
    fail(error);
    throw error;
  };
  const onUncaught = (error: unknown): void => {
    if (error instanceof EndedWhileLoading || process.listenerCount("uncaughtException") === listeners) fail(error);
  };
  process.on("uncaughtException", onUncaught);
  const listeners = process.listenerCount("uncaughtException"); // with another one, the function decides for itself
  try {
    return await Promise.race([failed, load()]);
  } finally {
    watching = false;
    process.exit = exit;
    process.off("uncaughtException", onUncaught);
  }
}
