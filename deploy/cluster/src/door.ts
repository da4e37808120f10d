// Whether a port of the platform lets us in. Only what a shut door does counts as shut: a mistake in its name must not look like safety.
import { lookup } from "node:dns/promises";
import { connect } from "node:net";

const WAIT_MS = 5_000;
/** The host answered that nobody is to come in, or nobody on the way would take us there. */
const SHUT = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"]);

/** What a failed connection to an address says. */
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

/** `open` when any address of it is, `shut` when all are, else why that cannot be said. `place` is NAME:PORT. Never throws. */
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
