// Opens and closes a listener on TCP or a Unix socket. A stale socket of a killed process is replaced; a live one is not.
import { chmodSync, rmSync } from "node:fs";
import { connect, type AddressInfo, type Server } from "node:net";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { ListenAddress } from "@fnctl/control-plane/contract/endpoint";

export interface OpenListener {
  server: Server;
  /** As it is: with the port that was given for port 0. */
  address: ListenAddress;
}

/** `mode`: file mode of a Unix socket. */
export async function openListener(server: Server, address: ListenAddress, mode: number): Promise<OpenListener> {
  if (address.kind === "tcp") {
    await listen(server, { host: address.host, port: address.port });
    return { server, address: { ...address, port: (server.address() as AddressInfo).port } };
  }
  if (await answers(address.path)) throw new PlatformError("CONFLICT", `Another process listens on ${address.path}.`);
  rmSync(address.path, { force: true });
  await listen(server, { path: address.path });
  chmodSync(address.path, mode);
  return { server, address };
}

function listen(server: Server, options: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...options, backlog: 1024 }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

export function closeListener({ server }: OpenListener): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
