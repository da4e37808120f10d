// The counted limits of a source archive, each just below and just above; no archive bytes are needed.
import { describe, expect, test } from "vitest";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { createArchiveRules } from "./archive-rules.ts";

const file = (name: string) => ({ name, type: "file", size: 0 });
const folder = (name: string) => ({ name, type: "directory", size: 0 });

describe("folders count, as many as files", () => {
  test("that only paths name", () => {
    const rules = createArchiveRules();
    for (let index = 0; index < LIMITS.sourceFiles - 1; index++) rules.accept(file(`d${index}/f`));
    expect(rules.accept(file("one/f")).path).toBe("one/f");
    expect(() => rules.accept(file("more/f"))).toThrow(/more than 20000 entries/);
    const deep = createArchiveRules();
    const path = (index: number) => `d${index}/${"e/".repeat(LIMITS.sourcePathDepth - 2)}f`;
    const within = Math.floor(LIMITS.sourceFiles / (LIMITS.sourcePathDepth - 1));
    for (let index = 0; index < within; index++) deep.accept(file(path(index)));
    expect(() => deep.accept(file(path(within)))).toThrow(/more than 20000 folders/);
  });
  test("named by an entry, once: those of the same folder are the same one", () => {
    const rules = createArchiveRules();
    for (let index = 0; index < LIMITS.sourceFiles / 2; index++) {
      rules.accept(folder(`d${index}/`));
      rules.accept(file(`d${index}/f`));
    }
    expect(() => rules.accept(folder("d0/"))).toThrow(/more than 20000 entries/);
  });
});
