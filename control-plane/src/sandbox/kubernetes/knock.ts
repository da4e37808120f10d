// Finds out whether a sandbox is alive by the cheapest thing that its own kernel answers without its process: a TCP connection. It is
// accepted even while the process's event loop spins, and is not once the machine is dead.
import { connect } from "node:net";

export interface Place {
  host: string;
  port: number;
}
/** `unknown`: the fault may be on our side, such as no free port or no network at all. */
export type Knock = "there" | "silent" | "unknown";

/** Errors by which the network or the other kernel says that no process listens there or no machine answers. */
const SILENT: ReadonlySet<string> = new Set(["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ETIMEDOUT"]);

export const knock = ({ host, port }: Place, timeoutMs: number): Promise<Knock> =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (seen: Knock) => {
      clearTimeout(late);
      // A reset saves the sandbox the packets of an orderly close. On a socket that is not connected yet it would only act after
      // connecting.
      if (seen === "there") socket.resetAndDestroy();
      else socket.destroy();
      resolve(seen);
    };
    const late = setTimeout(() => end("silent"), timeoutMs);
    socket.once("connect", () => end("there"));
    socket.on("error", (error: NodeJS.ErrnoException) => end(SILENT.has(error.code ?? "") ? "silent" : "unknown"));
  });
