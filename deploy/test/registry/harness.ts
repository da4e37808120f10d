// Makes image stores over a registry for tests.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createRegistryStore, type RegistryStoreOptions } from "@fnctl/control-plane/images/registry/store";

export interface StoreAt {
  /** A store over the registry at this host, with a prefix of its own. */
  open(host: string, options?: Partial<RegistryStoreOptions>): ReturnType<typeof createRegistryStore>;
  prefix: string;
  folder: string;
  close(): Promise<void>;
}

export async function createStoreAt(): Promise<StoreAt> {
  const folder = await mkdtemp(path.join(tmpdir(), "fnctl-spool-"));
  const prefix = `test/${randomUUID()}`;
  return {
    open: (host, options) => createRegistryStore({ url: `http://${host}/${prefix}`, spoolDir: path.join(folder, "spool"), ...options }),
    prefix,
    folder,
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
