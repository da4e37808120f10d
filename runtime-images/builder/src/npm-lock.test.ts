// Lock files of each version, as npm writes them, and those that pin nothing.
import { describe, expect, test } from "vitest";
import { checkNpmLock } from "./npm-lock.ts";

const integrity = `sha512-${"A".repeat(86)}==`;
const resolved = "https://registry.npmjs.org/x/-/x-1.0.0.tgz";
const x = { version: "1.0.0", resolved, integrity };
const open = { version: "1.0.0", resolved };
const v3 = (packages: Record<string, unknown>) =>
  JSON.stringify({ lockfileVersion: 3, packages: { "": { dependencies: {} }, ...packages } });
const v1 = (dependencies: Record<string, unknown>) => JSON.stringify({ lockfileVersion: 1, requires: true, dependencies });

describe("taken is", () => {
  test.each<[string, string]>([
    ["a lock without packages", v3({})],
    [
      "packages with their integrity, of other platforms and development too",
      v3({ "node_modules/x": x, "node_modules/y": { ...x, dev: true, optional: true } }),
    ],
    ["an old package's SHA-1", v3({ "node_modules/x": { ...x, integrity: `sha1-${"A".repeat(27)}=` } })],
    ["several hashes", v3({ "node_modules/x": { ...x, integrity: `sha1-${"A".repeat(27)}= ${integrity}` } })],
    ["no address, where registries are left out", v3({ "node_modules/x": { version: "1.0.0", integrity } })],
    ["an alias", v3({ "node_modules/y": { name: "x", ...x } })],
    [
      "a workspace",
      v3({ "node_modules/@a/b": { resolved: "packages/b", link: true }, "packages/b": { name: "@a/b" }, "packages/b/node_modules/x": x }),
    ],
    ["a folder that is linked", v3({ "node_modules/b": { resolved: "b", link: true }, b: {} })],
    [
      "a folder and an archive of the project",
      v3({ "node_modules/b": { resolved: "file:libs/b" }, "node_modules/c": { version: "1.0.0", resolved: "file:c.tgz" } }),
    ],
    [
      "what a package brings along",
      v3({
        "node_modules/npm": { ...x, bundleDependencies: ["a"] },
        "node_modules/npm/node_modules/a": { version: "1.0.0", inBundle: true },
        "node_modules/npm/node_modules/a/node_modules/b": { version: "1.0.0", inBundle: true },
      }),
    ],
    [
      "version 1",
      v1({
        x: { ...x, dependencies: { y: x } },
        b: { version: "file:libs/b" },
        n: { ...x, dependencies: { a: { version: "1.0.0", bundled: true, dependencies: { c: { version: "1.0.0", bundled: true } } } } },
      }),
    ],
    ["version 2, by its packages", JSON.stringify({ lockfileVersion: 2, packages: { "": {}, "node_modules/x": x }, dependencies: { x } })],
    ["a byte order mark", `\ufeff${v3({ "node_modules/x": x })}`],
  ])("%s", (_what, text) => expect(() => checkNpmLock(text)).not.toThrow());
});

describe("refused by name is", () => {
  test.each<[string, string, RegExp]>([
    ["a package without integrity", v3({ "node_modules/a": x, "node_modules/x": open }), /node_modules\/x has no integrity\.$/],
    [
      "several",
      v3({ "node_modules/x": open, "node_modules/@a/y": open, "node_modules/z": open }),
      /node_modules\/x has no integrity, nor have 2 more/,
    ],
    ["a nested one", v3({ "node_modules/a": x, "node_modules/a/node_modules/x": open }), /node_modules\/a\/node_modules\/x has no/],
    ["one of a workspace", v3({ "packages/b/node_modules/x": open }), /packages\/b\/node_modules\/x has no/],
    ["one for development", v3({ "node_modules/x": { ...open, dev: true } }), /no integrity/],
    ["an archive from anywhere", v3({ "node_modules/x": { version: "1.0.0", resolved: "https://evil.example/x.tgz" } }), /no integrity/],
    ["an integrity that npm cannot read", v3({ "node_modules/x": { ...open, integrity: "none" } }), /no integrity/],
    ["an integrity by MD5", v3({ "node_modules/x": { ...open, integrity: "md5-AAAAAAAAAAAAAAAAAAAAAA==" } }), /no integrity/],
    ["an integrity that is no text", v3({ "node_modules/x": { ...open, integrity: [integrity] } }), /no integrity/],
    ["an entry that is nothing", v3({ "node_modules/x": null }), /no integrity/],
    ["one that says it is bundled, by nobody", v3({ "node_modules/x": { ...open, inBundle: true } }), /no integrity/],
    [
      "one that says it is bundled, by a package that bundles nothing",
      v3({ "node_modules/a": x, "node_modules/a/node_modules/x": { ...open, inBundle: true } }),
      /no integrity/,
    ],
    [
      "one that is bundled by a package without integrity",
      v3({ "node_modules/a": { ...open, bundleDependencies: ["x"] }, "node_modules/a/node_modules/x": { ...open, inBundle: true } }),
      /node_modules\/a has no integrity, nor have 1 more/,
    ],
    [
      "a repository",
      v3({ "node_modules/x": { version: "1.0.0", resolved: "git+ssh://git@github.com/a/x.git#0123", integrity } }),
      /node_modules\/x comes from a git repository/,
    ],
    ["a link that leads out", v3({ "node_modules/x": { resolved: "../x", link: true } }), /node_modules\/x leads out/],
    ["a linked folder outside", v3({ "../x": {} }), /\.\.\/x leads out/],
    ["an installation outside", v3({ "node_modules/../../x": x }), /leads out/],
    ["an absolute installation", v3({ "/node_modules/x": x }), /leads out/],
    ["a link to the root", v3({ "node_modules/x": { resolved: "/", link: true } }), /leads out/],
    ["an archive outside", v3({ "node_modules/x": { resolved: "file:libs/../../x.tgz" } }), /leads out/],
    ["version 1 without integrity", v1({ a: { ...x, dependencies: { y: open } } }), /node_modules\/a\/node_modules\/y has no integrity/],
    ["version 1 from a repository", v1({ x: { version: "github:a/x#0123", from: "github:a/x" } }), /node_modules\/x comes from a git/],
    ["version 1 outside", v1({ x: { version: "file:../x" } }), /leads out/],
    ["version 1, bundled by nobody", v1({ x: { ...open, bundled: true } }), /no integrity/],
    ["what is not JSON", "<<<<<<< ours\n{}", /not valid JSON/],
    ["what is no object", "3", /does not hold an object/],
  ])("%s", (_what, text, message) => expect(() => checkNpmLock(text)).toThrow(message));
});
