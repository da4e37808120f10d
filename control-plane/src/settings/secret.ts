// The secret that the platform's parts share. Too short or empty: the process does not start (SECURITY D8, Fission #3663).
import { readFileSync } from "node:fs";

export const SECRET_MIN_BYTES = 32;

export function readSecret(file: string): Buffer {
  const text = readFileSync(file, "utf8").trim();
  if (Buffer.byteLength(text) < SECRET_MIN_BYTES) throw new Error(`${file} must hold at least ${SECRET_MIN_BYTES} bytes of secret.`);
  return Buffer.from(text);
}
