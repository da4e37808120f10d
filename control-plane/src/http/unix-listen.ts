// Listens on a Unix socket whose file has its owner and mode before anybody can connect.
import { chmodSync, chownSync, renameSync, rmSync } from "node:fs";
import type { Server } from "node:net";

export interface SocketOwner {
  uid?: number;
  gid?: number;
  mode: number;
}

/** Binds under another name first: the socket appears at `path` only when its permissions are right. */
export async function listenUnix(server: Server, path: string, owner: SocketOwner): Promise<void> {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(draft, () => {
      server.off("error", reject);
      resolve();
    });
  });
  chmodSync(draft, owner.mode);
  if (owner.uid !== undefined || owner.gid !== undefined) chownSync(draft, owner.uid ?? -1, owner.gid ?? -1);
  renameSync(draft, path);
}
