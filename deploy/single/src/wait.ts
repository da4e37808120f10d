// Waits for parts to come up, for a limited time and with the reason in the error.
import http from "node:http";
import net from "node:net";

const POLL_MS = 25;
const LIMIT_MS = 60_000;
const PROBE_MS = 2_000;

async function until(what: string, ready: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  while (!(await ready())) {
    if (Date.now() > end)
      throw new Error(`${what} did not become ready within ${LIMIT_MS / 1000} s; see service-logs in the state folder.`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function takes(at: net.NetConnectOpts): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect(at, () => resolve(true)).on("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
export const waitForSocket = (file: string): Promise<void> => until(file, () => takes({ path: file }));

export const waitForPort = (host: string, port: number): Promise<void> => until(`${host}:${port}`, () => takes({ host, port }));

/** Waits until a part's own `/healthz`, on its Unix socket, answers 200. */
export const waitForHealth = (file: string): Promise<void> =>
  until(`${file} /healthz`, () => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const request = http.get({ socketPath: file, path: "/healthz", timeout: PROBE_MS }, (answer) =>
      resolve(answer.resume().statusCode === 200),
    );
    request.on("error", () => resolve(false)).on("timeout", () => request.destroy());
    return promise;
  });
