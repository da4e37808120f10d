// Tells the nodes' log agents to which function version an instance's log lines belong. Its pod says so; after the pod is gone, the version
// that was noted when the code was loaded is answered for a while, because an agent may ask only then.
import type { LogChannel } from "../../contract/logs.ts";
import type { ImageRef, SandboxDriver } from "../driver.ts";

/** What a driver knows of an instance: the loaded image, and the node where it runs. */
export interface Sighting {
  image: ImageRef | undefined;
  node: string | undefined;
}
/** The most loads that are remembered; at ten loads a second this covers a quarter of an hour. */
export const REMEMBERED = 10_000;

export function createLogChannelDirectory(look: (instance: string) => Promise<Sighting | undefined>) {
  const book = new Map<string, Sighting>();
  async function sighting(instance: string): Promise<Sighting | undefined> {
    const seen = await look(instance);
    return seen?.image === undefined ? book.get(instance) : seen;
  }
  async function remember(id: string, image: ImageRef): Promise<void> {
    book.set(id, { image, node: (await look(id))?.node });
    for (const oldest of book.keys()) {
      if (book.size <= REMEMBERED) break;
      book.delete(oldest);
    }
  }

  return {
    /** Wraps the driver so that every load is remembered. */
    remembering: (driver: SandboxDriver): SandboxDriver => ({
      ...driver,
      get isolations() {
        return driver.isolations;
      },
      async load(id, image) {
        const loaded = await driver.load(id, image);
        await remember(id, image);
        return loaded;
      },
      async beginLoad(id, image) {
        const begun = await driver.beginLoad(id, image);
        await remember(id, image);
        return begun;
      },
    }),
    async channels(instances: string[]): Promise<LogChannel[]> {
      const seen = await Promise.all(instances.map(async (instance) => ({ instance, image: (await sighting(instance))?.image })));
      return seen.flatMap(({ instance, image }) =>
        image === undefined ? [] : [{ instance, tenantId: image.tenantId, functionId: image.functionId, version: image.version }],
      );
    },
    nodeOf: async (instance: string): Promise<string | undefined> => (await sighting(instance))?.node,
  };
}
export type LogChannelDirectory = ReturnType<typeof createLogChannelDirectory>;
