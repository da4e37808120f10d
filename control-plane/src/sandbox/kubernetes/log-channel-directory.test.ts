// Log agents are told to which function version the log lines of an instance belong.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { newInstanceId } from "../../service/uuid7.ts";
import type { ImageRef, SandboxDriver } from "../driver.ts";
import { REMEMBERED, createLogChannelDirectory, type Sighting } from "./log-channel-directory.ts";

const image = (): ImageRef => ({
  tenantId: randomUUID(),
  functionId: randomUUID(),
  versionId: randomUUID(),
  version: 3,
  configHash: "0".repeat(64),
  layer: `sha256:${"0".repeat(64)}`,
});

function setup() {
  const pods = new Map<string, Sighting>();
  const book = createLogChannelDirectory(async (id) => pods.get(id));
  const driver = book.remembering({
    isolations: ["gvisor"],
    async load(id: string, loaded: ImageRef) {
      pods.set(id, { image: loaded, node: "node1" });
      return { id };
    },
  } as unknown as SandboxDriver);
  return { pods, book, driver };
}

describe("an instance", () => {
  test("is nobody's before its code is loaded, and its version's from then on, after its pod is gone too", async () => {
    const { pods, book, driver } = setup();
    const [id, own] = [newInstanceId(), image()];
    pods.set(id, { image: undefined, node: "node1" });
    expect(await book.channels([id, newInstanceId()])).toEqual([]);
    await driver.load(id, own);
    const channel = { instance: id, tenantId: own.tenantId, functionId: own.functionId, version: 3 };
    expect(await book.channels([id])).toEqual([channel]);
    pods.delete(id);
    expect(await book.channels([id])).toEqual([channel]);
    expect(await book.nodeOf(id)).toBe("node1");
  });

  test("that an earlier control plane loaded is known by its pod", async () => {
    const { pods, book } = setup();
    const [id, own] = [newInstanceId(), image()];
    pods.set(id, { image: own, node: "node2" });
    expect(await book.channels([id])).toMatchObject([{ functionId: own.functionId }]);
    expect(await book.nodeOf(id)).toBe("node2");
  });

  test("is remembered as long as not too many came after it", async () => {
    const { pods, book, driver } = setup();
    const id = newInstanceId();
    await driver.load(id, image());
    for (let count = 1; count < REMEMBERED; count++) await driver.load(newInstanceId(), image());
    pods.clear();
    expect(await book.channels([id])).toHaveLength(1);
    await driver.load(newInstanceId(), image());
    pods.clear();
    expect(await book.channels([id])).toEqual([]);
  });
});
