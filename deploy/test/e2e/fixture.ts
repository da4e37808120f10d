// The functions that the suites deploy: source files in `fixtures/`, used unchanged.
import { deployFixtureTo } from "../egress/place.ts";
import { deploy } from "./api.ts";

export { fixture } from "../egress/place.ts";
export const deployFixture = (name: string, file: string, config?: Record<string, unknown>, as?: string): Promise<void> =>
  deployFixtureTo({ deploy }, name, file, config, as);
