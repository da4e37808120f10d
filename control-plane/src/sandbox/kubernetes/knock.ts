// Whether somebody is there, by the shortest thing that a sandbox's own kernel answers, whatever its process does: a TCP connection, which
// is taken while an event loop spins, and is not once the machine is dead.
import { connect } from "node:net";

export interface Place {
  host: string;
  port: number;
}
/** `unknown`: the fault may be this side's own, such as no free port or no network at all. */
export type Knock = "there" | "silent" | "unknown";

/** No answer, or that nobody listens: said by who would know. */
const SILENT: ReadonlySet<string> = new Set(["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ETIMEDOUT"]);

export const knock = ({ host, port }: Place, timeoutMs: number): Promise<Knock> =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (seen: Knock) => {
      clearTimeout(late);
      // A reset spares the sandbox the packets of a goodbye; one that is not connected yet would wait until it is.
      if (seen === "there") socket.resetAndDestroy();
      else socket.destroy();
      resolve(seen);
    };
    const late = setTimeout(() => end("silent"), timeoutMs);
    socket.once("connect", () => end("there"));
    socket.on("error", (error: NodeJS.ErrnoException) => end(SILENT.has(error.code ?? "") ? "silent" : "unknown"));
  });
