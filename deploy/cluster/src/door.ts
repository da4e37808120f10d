// Finds out whether a port of the platform can be reached. Only a refused or dropped connection counts as shut: a mistyped name must not
// look safe.
import { lookup } from "node:dns/promises";
import { connect } from "node:net";

const WAIT_MS = 5_000;
/** The host refused the connection, or there is no route to it. */
const SHUT = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"]);

/** The result for a connection that failed with this error code. */
export const shutBy = (code: string | undefined): string => (code !== undefined && SHUT.has(code) ? "shut" : `failed: ${code}`);

function knock(host: string, port: number, waitMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (state: string) => {
      socket.destroy();
      resolve(state);
    };
    socket
      .setTimeout(waitMs, () => end("shut"))
      .once("connect", () => end("open"))
      .once("error", ({ code }: NodeJS.ErrnoException) => end(shutBy(code)));
  });
}

/**
 * `open` when any address of `place` (NAME:PORT) is open, `shut` when all are shut, otherwise the reason why neither is known. Never
 * throws.
 */
export async function door(place: string, waitMs = WAIT_MS): Promise<string> {
  const [, host = "", port = ""] = /^([^:]+):(\d+)$/.exec(place) ?? [];
  if (host === "") return `failed: "${place}" is no name with a port`;
  try {
    const found = await lookup(host, { all: true }); // a headless service has an address for each pod
    const states = await Promise.all(found.map(({ address }) => knock(address, Number(port), waitMs)));
    if (states.includes("open")) return "open";
    return states.find((state) => state !== "shut") ?? (states.length === 0 ? "failed: no address" : "shut");
  } catch (error) {
    return `failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}
