// Program with a driver of its own that begins one start; the test kills it in the middle. Arguments: options and spec, as JSON.
import type { SandboxSpec } from "../../driver.ts";
import { createRunscDriver, type RunscDriverOptions } from "../driver.ts";

const [options, spec] = process.argv.slice(2).map((text) => JSON.parse(text) as unknown);
const driver = await createRunscDriver(options as RunscDriverOptions);
await driver.start(spec as SandboxSpec);
process.stdout.write("started\n");
setInterval(() => undefined, 1000);
