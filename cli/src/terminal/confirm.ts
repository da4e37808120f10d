// A question, only ever asked on a terminal.
import { createInterface } from "node:readline/promises";
import type { CliIo } from "../cli-io.ts";
import { usage } from "../errors/cli-error.ts";

export async function confirm(io: CliIo, question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (io.stdin.isTTY !== true || io.stderr.isTTY !== true)
    throw usage(`${question} There is no terminal to ask on; say --yes.`, `the same command with --yes`);
  const prompt = createInterface({ input: io.stdin, output: io.stderr });
  try {
    return /^y(es)?$/i.test((await prompt.question(`${question} [y/N] `, { signal: io.signal })).trim());
  } finally {
    prompt.close();
  }
}
