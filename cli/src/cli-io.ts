// Everything the CLI uses of its process. Only `main.ts` reads `process`; tests pass their own values.
import type { Readable, Writable } from "node:stream";

export interface CliIo {
  /** Arguments after the program's name. */
  argv: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  home: string;
  stdin: Readable & { isTTY?: boolean };
  stdout: Writable & { isTTY?: boolean; columns?: number };
  stderr: Writable & { isTTY?: boolean; columns?: number };
  /** Fires at Ctrl-C. */
  signal: AbortSignal;
}
