// Tries the gateway's address before minutes are spent on preparing a platform that could not listen there.
import net from "node:net";

const WHY: Record<string, string> = {
  EADDRINUSE: "is in use by another program",
  EADDRNOTAVAIL: "is no address of this machine",
  EACCES: "may not be used by this user",
};

const OTHER = "Choose another: FNCTL_LISTEN=127.0.0.1:8081 npm run up";

/** Throws an error that says what to do when `listen` (`host:port`) cannot be bound. */
export async function refuseTakenPort(listen: string, advice = OTHER): Promise<void> {
  const at = listen.lastIndexOf(":");
  const server = net.createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.on("error", reject).listen(Number(listen.slice(at + 1)), listen.slice(0, at), resolve);
    });
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    throw new Error(`${listen} ${WHY[code] ?? `cannot be used (${code})`}. ${advice}`, {
      cause: error,
    });
  } finally {
    server.close();
  }
}
