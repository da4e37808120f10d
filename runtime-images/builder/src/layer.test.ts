// The builder's own size check before it sends a layer: it gives its own message, and is no laxer than the platform's check of the received
// layer.
import { expect, test } from "vitest";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { checkLayerSize, type LayerFiles } from "./layer.ts";

const layerOf = (paths: string[]): LayerFiles => new Map(paths.map((path) => [path, Buffer.alloc(0)]));
const numbered = (count: number, name: (index: number) => string) => Array.from({ length: count }, (_path, index) => name(index));

test("as many files as the limit says, and not one more", () => {
  checkLayerSize(layerOf(numbered(LIMITS.layerFiles, (index) => `f${index}`)));
  expect(() => checkLayerSize(layerOf(numbered(LIMITS.layerFiles + 1, (index) => `f${index}`)))).toThrow(/60001 files/);
});

test("as many folders as the limit says, `function` and `function/code` among them, and not one more", () => {
  const most = LIMITS.layerFiles - 2;
  checkLayerSize(layerOf(numbered(most, (index) => `d${index}/f`)));
  expect(() => checkLayerSize(layerOf(numbered(most + 1, (index) => `d${index}/f`)))).toThrow(/60001 folders/);
  expect(() => checkLayerSize(layerOf(numbered(most / 2, (index) => `d${index}/e/e/f`)))).toThrow(/folders/);
});
