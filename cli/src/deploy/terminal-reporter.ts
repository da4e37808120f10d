import type { CliIo } from "../cli-io.ts";
import { seconds, shortDigest } from "../terminal/amounts.ts";
import { printableBlock } from "../terminal/printable.ts";
import { startSpinner } from "../terminal/spinner.ts";
import { animationWanted, colourWanted, createStyle } from "../terminal/style.ts";
import type { Phase, Reporter } from "./reporter.ts";

const NAME_WIDTH = "validate".length;
const NOTE_WIDTH = 28;

/** `several`: more than one function is deployed, so each gets a heading. */
export function createTerminalReporter(io: CliIo, several: boolean): Reporter {
  const style = createStyle(colourWanted(io.env, io.stderr));
  const animated = animationWanted(io.env, io.stderr);
  let stopSpinner: (() => void) | undefined;
  const stop = () => {
    stopSpinner?.();
    stopSpinner = undefined;
  };
  const say = (text: string) => void io.stderr.write(`${text}\n`);
  const line = (mark: string, phase: Phase, note: string, time: string) => {
    stop();
    say(`${mark} ${phase.padEnd(NAME_WIDTH)}  ${note.padEnd(NOTE_WIDTH)} ${time.padStart(8)}`.trimEnd());
  };
  const spin = (phase: Phase) => {
    stop();
    if (animated) stopSpinner = startSpinner(io.stderr, phase, begun, style);
  };
  let current: Phase | undefined;
  let begun = 0;
  return {
    begin: (name) => {
      if (several) say(style.bold(name));
    },
    started: (phase) => {
      current = phase;
      begun = performance.now();
      spin(phase);
    },
    done: (phase, ms, note = "") => line(style.green("✓"), phase, note, seconds(ms)),
    skipped: (phase, note) => line(style.dim("-"), phase, note, ""),
    failed: (phase) => line(style.red("✗"), phase, "", ""),
    log: (_, text) => {
      if (text.trim() === "") return;
      const running = stopSpinner !== undefined;
      stop();
      say(style.dim(printableBlock(text.replace(/\r?\n$/, "")).replace(/^/gm, "  │ ")));
      if (running && current !== undefined) spin(current);
    },
    result: (result) => {
      const image = result.imageDigest === null ? "" : `  ${shortDigest(result.imageDigest)}`;
      say(`${style.bold(`${result.function} v${result.version}`)}${image}  ${seconds(result.totalMs)} in all`);
      io.stdout.write(`${result.url}\n`);
    },
    stop,
  };
}
