// An animated line on a terminal, with the elapsed time. No package is used, because such packages listen to SIGINT themselves and end the
// process before the command can say what continues on the platform.
import type { Writable } from "node:stream";
import type { Style } from "./style.ts";

const FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
const FRAME_MS = 80;
/** ECMA-48: back to column 1, erase the line. */
const ERASE = "\r\u001b[2K";

/** `begun`: by `performance.now()`. Runs until the returned function is called, which takes the line away. */
export function startSpinner(stream: Writable, text: string, begun: number, style: Style): () => void {
  let frame = 0;
  const draw = () => {
    const elapsed = Math.floor((performance.now() - begun) / 1000);
    stream.write(`${ERASE}${style.cyan(FRAMES[frame % FRAMES.length] ?? "")} ${text}${elapsed === 0 ? "" : style.dim(`  ${elapsed} s`)}`);
    frame += 1;
  };
  draw();
  const timer = setInterval(draw, FRAME_MS);
  return () => {
    clearInterval(timer);
    stream.write(ERASE);
  };
}
