// Reports the progress of a deploy: to people on stderr, or to programs as one JSON line per event on stdout.
import type { PHASES } from "@fnctl/control-plane/contract/resources";

export type Phase = (typeof PHASES)[number];
export interface DeployResult {
  function: string;
  url: string;
  version: number;
  sourceDigest: string;
  imageDigest: string | null;
  buildId: string;
  /** False when `--detach` did not wait, or `--no-promote` left `live` where it was. */
  live: boolean;
  totalMs: number;
}
export interface Reporter {
  begin(name: string): void;
  started(phase: Phase): void;
  done(phase: Phase, ms: number, note?: string): void;
  skipped(phase: Phase, note: string): void;
  failed(phase: Phase): void;
  log(stream: "stdout" | "stderr" | "platform", text: string): void;
  result(result: DeployResult): void;
  /** Removes the spinner, so that other output can follow. */
  stop(): void;
}
