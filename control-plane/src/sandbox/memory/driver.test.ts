// The memory driver runs the same suite as the real drivers.
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import path from "node:path";
import { tmpdir } from "node:os";
import { describeDriver, type DriverHarness } from "../conformance.ts";
import { createMemoryDriver, createMemoryWorld, type MemoryDriverOptions } from "./driver.ts";
import { openModule } from "./open-module.ts";
import { newInstanceId } from "../../service/uuid7.ts";
import { placeLayer } from "../testing/layers.ts";

async function makeHarness(): Promise<DriverHarness> {
  const folder = await mkdtemp(path.join(tmpdir(), "fn-"));
  const base = `sha256:${randomBytes(32).toString("hex")}`;
  const options: MemoryDriverOptions = {
    world: createMemoryWorld(),
    socketsDir: path.join(folder, "s"),
    layersDir: path.join(folder, "layers"),
    bases: new Set([base]),
    open: openModule,
  };
  const driver = await createMemoryDriver(options);
  return {
    driver,
    spec: () => ({ id: newInstanceId(), kind: "function", base, isolation: "gvisor", memoryMib: 128, egress: false, epoch: 1 }),
    place: (text, tenantId = randomUUID()) =>
      placeLayer(options.layersDir, tenantId, {
        "index.mjs": `export default (request, response) => response.end(${JSON.stringify(text)});`,
      }),
    crash: (instance) => driver.crash(instance.id),
    exhaustMemory: "the memory driver shares its process's memory",
    makeStubborn: "an instance of the memory driver is no process: it hears no signal, and one that spins would stop the test with it",
    abandonStart: "an instance of the memory driver ends with the process that starts it",
    reopen: () => createMemoryDriver(options),
    leftovers: async (id) => [path.join(options.socketsDir, id)].filter((file) => existsSync(file)),
    async close() {
      for (const { id } of await driver.list()) await driver.stop(id);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describeDriver("memory", undefined, makeHarness);
