// Colour, or none (https://no-color.org).
import type { CliIo } from "../cli-io.ts";

const wrap = (on: boolean, open: number, close: number) => (text: string) => (on ? `\u001b[${open}m${text}\u001b[${close}m` : text);

export function createStyle(on: boolean) {
  return {
    bold: wrap(on, 1, 22),
    dim: wrap(on, 2, 22),
    red: wrap(on, 31, 39),
    green: wrap(on, 32, 39),
    yellow: wrap(on, 33, 39),
    cyan: wrap(on, 36, 39),
  };
}
export type Style = ReturnType<typeof createStyle>;

type Env = CliIo["env"];
const given = (value: string | undefined): boolean => value !== undefined && value !== "";

export function colourWanted(env: Env, stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && !given(env["NO_COLOR"]) && env["TERM"] !== "dumb";
}

/** Spinners need a terminal that can redraw a line, and are useless in CI. */
export function animationWanted(env: Env, stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && !(given(env["CI"]) && env["CI"] !== "false") && env["TERM"] !== "dumb";
}
