// The builder's only way out: a TCP port on loopback for tools that know HTTP proxies, each connection carried to the egress proxy's socket.
import { createServer, connect, type AddressInfo } from "node:net";

/** Resolves with the proxy's URL. */
export function startForwarder(egressSocket: string): Promise<string> {
  const server = createServer({ allowHalfOpen: true }, (inner) => {
    const outer = connect({ path: egressSocket, allowHalfOpen: true });
    inner.pipe(outer).pipe(inner);
    inner.on("error", () => outer.destroy());
    outer.on("error", () => inner.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}
