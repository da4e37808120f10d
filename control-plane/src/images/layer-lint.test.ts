// The limits on counts and sizes in a layer, each tested at the limit and just above it; only headers are made, no contents.
import { describe, expect, test } from "vitest";
import type tar from "tar-stream";
import { LIMITS } from "../contract/limits.ts";
import { createLayerLint } from "./layer-lint.ts";

const header = (name: string, facts: Partial<tar.Header> = {}): tar.Header =>
  ({ name, type: "file", size: 0, mode: 0o644, ...facts }) as tar.Header;
const numbered = (index: number) => `function/${String(index).padStart(8, "0")}`;

describe("the layer lint", () => {
  test.each(["file", "directory"] as const)("takes as many of type %s as the limit says, and not one more", (type) => {
    const lint = createLayerLint();
    for (let index = 0; index < LIMITS.layerFiles; index++) lint.check(header(numbered(index), { type }));
    expect(() => lint.check(header(numbered(LIMITS.layerFiles), { type }))).toThrow(/more than 60000 (files|folders)/);
  });

  test("takes folders beside as many files as there may be: a builder counts files alone", () => {
    const lint = createLayerLint();
    lint.check(header("function", { type: "directory" }));
    for (let index = 0; index < LIMITS.layerFiles; index++) lint.check(header(numbered(index)));
    expect(lint.check(header("function/z", { type: "directory" })).folder).toBe(true);
  });

  test("takes no folder but those that are entries: 200 files of one byte are not 7,200 folders", () => {
    const lint = createLayerLint();
    lint.check(header("function", { type: "directory" }));
    const name = `function/f/${"d/".repeat(36)}x`;
    expect(() => lint.check(header(name, { size: 1 }))).toThrow(/a folder that is no entry before it/);
  });

  test("takes as many bytes as the limit says, and not one more", () => {
    const lint = createLayerLint();
    lint.check(header("function/a", { size: LIMITS.layerBytes - 1 }));
    lint.check(header("function/b", { size: 1 }));
    expect(() => lint.check(header("function/c", { size: 1 }))).toThrow(/larger than 512 MiB/);
  });
});
