// The check of imports between rooms (top-level source folders) finds a made-up import cycle and a made-up room.
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { drawRooms, edgesOf } from "../src/rooms.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "fnctl-rooms-"));
  for (const file of ["tsconfig.json", ".dependency-cruiser.cjs"]) await cp(path.join(ROOT, file), path.join(folder, file));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Adds these files and runs the project's own dependency rules. */
async function judge(files: Record<string, string>): Promise<{ code: number; text: string }> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), text);
  }
  const args = ["--config", ".dependency-cruiser.cjs", "gateway", "control-plane"];
  return new Promise((resolve) =>
    execFile(path.join(ROOT, "node_modules/.bin/depcruise"), args, { cwd: folder }, (error, stdout) =>
      resolve({ code: typeof error?.code === "number" ? error.code : 0, text: stdout }),
    ),
  );
}
const DB = "control-plane/src/db/rows.ts";
const API = "control-plane/src/api/app.ts";
const GATEWAY = { "gateway/src/egress/limits.ts": "export const LIMIT = 1;\n" };

describe("the import rules", () => {
  test("let a room import one below it", async () => {
    const files = { ...GATEWAY, [DB]: "export interface Row { id: string }\n", [API]: 'export type { Row } from "../db/rows.ts";\n' };
    expect(await judge(files)).toMatchObject({ code: 0 });
  });
  test("fail on a ring of types alone", async () => {
    const files = {
      ...GATEWAY,
      [DB]: 'import type { App } from "../api/app.ts";\nexport interface Row { app: App }\n',
      [API]: 'import type { Row } from "../db/rows.ts";\nexport interface App { row: Row }\n',
    };
    const { code, text } = await judge(files);
    expect(code).toBe(1);
    expect(text).toContain(`error upward-from-control-db: ${DB} → ${API}`);
  });
  test("fail on an upward arrow in the gateway", async () => {
    const http = "gateway/src/ingress/http/head.ts";
    const files = {
      ...GATEWAY,
      [DB]: "export const NONE = 0;\n",
      "gateway/src/ingress/fleet/fleet.ts": "export const FLEET = 1;\n",
      [http]: 'import { FLEET } from "../fleet/fleet.ts";\nexport const HEAD = FLEET;\n',
    };
    expect((await judge(files)).text).toContain("upward-from-gateway-ingress-http");
  });
  test("fail on a room that has no place in the order", async () => {
    const files = {
      ...GATEWAY,
      [DB]: "export const NONE = 0;\n",
      "control-plane/src/utils/all.ts": 'export { NONE } from "../db/rows.ts";\n',
    };
    expect((await judge(files)).text).toContain("unknown-room");
  });
});

describe("the room graph", () => {
  const cruise = (edges: [string, string][]) => ({
    modules: edges.map(([source, resolved]) => ({ source, dependencies: [{ resolved }] })),
  });
  test("is drawn from the top down, without tests", () => {
    const edges = edgesOf(
      cruise([
        ["a/db/rows.ts", "a/contract/limits.ts"],
        ["a/api/app.ts", "a/db/rows.ts"],
        ["a/api/app.ts", "a/contract/limits.ts"],
        ["a/db/rows.test.ts", "a/api/app.ts"],
        ["a/main.ts", "a/api/app.ts"],
      ]),
      "a",
    );
    expect(drawRooms(edges)).toEqual(["api      → db, contract", "db       → contract", "contract"]);
  });
  test("names a ring", () => {
    expect(() =>
      drawRooms(
        edgesOf(
          cruise([
            ["a/x/1.ts", "a/y/1.ts"],
            ["a/y/2.ts", "a/x/2.ts"],
          ]),
          "a",
        ),
      ),
    ).toThrow("A ring: x → y → x");
  });
});
