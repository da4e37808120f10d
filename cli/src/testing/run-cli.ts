// Runs the CLI in this process, and records its output.
import { mkdtemp, mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable, Writable } from "node:stream";
import { runCli } from "../app.ts";

export interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}
export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  stdin?: string;
  signal?: AbortSignal;
  /** stderr is a terminal. */
  terminal?: boolean;
}

export async function fnctl(argv: string[], options: RunOptions = {}): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const sink = (name: keyof typeof written) =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        written[name] += chunk.toString();
        done();
      },
    });
  const { cwd = tmpdir(), env = {}, stdin = "", signal = new AbortController().signal, terminal = false } = options;
  const exitCode = await runCli({
    argv,
    env,
    cwd,
    home: "/nonexistent",
    stdin: Readable.from([Buffer.from(stdin)]),
    stdout: sink("stdout"),
    stderr: Object.assign(sink("stderr"), { isTTY: terminal }),
    signal,
  });
  return { exitCode, ...written };
}

export async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-cli-"));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), content);
  }
  return folder;
}
