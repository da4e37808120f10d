// Tests the low-disk state on a real file system that is nearly full.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createFreeSpace, isOutOfSpace } from "./free-space.ts";

const MIB = 1024 * 1024;
const mayMount = process.getuid?.() === 0;

describe.skipIf(!mayMount)(`free space${mayMount ? "" : " (skipped: mounting a small file system needs root)"}`, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "fn-space-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "fnctl-test", folder]);
  });
  afterAll(() => {
    execFileSync("umount", [folder]);
    rmSync(folder, { recursive: true });
  });

  test("is little when one of the file systems has less than the least, and no longer when there is more again", async () => {
    const space = createFreeSpace({ folders: [tmpdir(), folder], minBytes: 4 * MIB });
    const file = path.join(folder, "file");
    await space.require();
    writeFileSync(file, Buffer.alloc(13 * MIB));
    await expect.poll(() => space.isLow(), { timeout: 5_000 }).toBe(true);
    await expect(space.require()).rejects.toMatchObject({ code: "STORAGE_LOW", status: 507, hint: expect.any(String) });
    truncateSync(file, 11 * MIB);
    await expect.poll(() => space.isLow(), { timeout: 5_000 }).toBe(false);
  });

  test("that runs out in the middle of a write is known as such, however it was wrapped", () => {
    let error: unknown;
    try {
      writeFileSync(path.join(folder, "more"), Buffer.alloc(17 * MIB));
    } catch (thrown) {
      error = new Error("The layer could not be kept.", { cause: thrown });
    }
    expect(isOutOfSpace(error)).toBe(true);
    expect(isOutOfSpace(new Error("something else", { cause: new Error("x") }))).toBe(false);
  });
});
