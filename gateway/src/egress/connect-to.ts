// A TCP or Unix connection, in time.
import { connect, type Socket } from "node:net";
import { EGRESS_LIMITS } from "./limits.ts";

export function connectTo(options: { host: string; port: number } | { path: string }, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...options,
      signal,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: EGRESS_LIMITS.probeAfterMs,
    });
    const timer = setTimeout(() => socket.destroy(new Error("connecting took too long")), EGRESS_LIMITS.connectMs);
    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}
