// Whether a package-lock.json pins bytes and not only versions (SECURITY G4): what comes from a registry has an integrity, what comes from the
// project stays in it, and nothing comes from a repository. Pure. lockfileVersion 1 has a tree of `dependencies`, 2 and later `packages` by path.
import { posix } from "node:path";
import { BuildFailure } from "./build-failure.ts";

type Entry = Record<string, unknown>;

const MODULES = "node_modules/";
const REPOSITORY = /^(?:git(?:\+[a-z]+)?:|git@|ssh:|github:|gitlab:|bitbucket:|gist:|[\w.-]+\/[\w.-]+(?:#|$))/i;
/** Old packages have SHA-1 alone; what npm cannot read it does not check. */
const INTEGRITY = /(?:^|\s)sha(?:1|256|384|512)-[A-Za-z0-9+/]+={0,2}(?:\?\S*)?(?:\s|$)/;

/** Throws for an entry that could be other bytes tomorrow, by its name. */
export function checkNpmLock(text: string): void {
  const lock = parse(text);
  const packages = new Map(entriesOf(lock["packages"]));
  const open = packages.size > 0 ? openPackages(packages) : openInTree(lock, "");
  if (open.length === 0) return;
  const more = open.length === 1 ? "" : `, nor have ${open.length - 1} more`;
  throw new BuildFailure(
    `package-lock.json: ${open[0]} has no integrity${more}.`,
    "Delete node_modules and package-lock.json, run `npm install` and deploy again: npm leaves it out where it locks what it finds installed.",
  );
}

function openPackages(packages: ReadonlyMap<string, Entry>): string[] {
  const open: string[] = [];
  for (const [path, entry] of packages) {
    requireInProject(path, path);
    if (!path.includes(MODULES)) continue; // the project, and folders of it that are linked
    if (entry["link"] === true) requireInProject(path, String(entry["resolved"]));
    else if (!isPinned(path, entry) && !(entry["inBundle"] === true && isBundled(packages, path))) open.push(path);
  }
  return open;
}

/** A package above it brings it along in its own archive. */
function isBundled(packages: ReadonlyMap<string, Entry>, path: string): boolean {
  for (let at = path.lastIndexOf(`/${MODULES}`); at > 0; at = path.lastIndexOf(`/${MODULES}`, at - 1)) {
    const above = path.slice(0, at);
    const entry = packages.get(above);
    const bundles = entry?.["bundleDependencies"] ?? entry?.["bundledDependencies"];
    const some = bundles === true || (Array.isArray(bundles) && bundles.length > 0);
    if (entry !== undefined && some && above.includes(MODULES) && isPinned(above, entry)) return true;
  }
  return false;
}

function openInTree(parent: Entry, path: string): string[] {
  const inArchive = path !== "" && isPinned(path, parent);
  return entriesOf(parent["dependencies"]).flatMap(([name, entry]) => {
    const own = `${path === "" ? "" : `${path}/`}${MODULES}${name}`;
    const pinned = isPinned(own, entry) || (entry["bundled"] === true && inArchive);
    return [
      ...(pinned ? [] : [own]),
      ...openInTree(pinned && entry["bundled"] === true ? { ...entry, integrity: parent["integrity"] } : entry, own),
    ];
  });
}

/** By an integrity, or because it lies in the project. */
function isPinned(path: string, { version, resolved, integrity }: Entry): boolean {
  const from = [resolved, version].find((value): value is string => typeof value === "string" && /[:/@]/.test(value)) ?? "";
  if (REPOSITORY.test(from))
    throw new BuildFailure(
      `package-lock.json: ${path} comes from a git repository.`,
      "Publish the package, or put its folder into the project and depend on it by `file:`.",
    );
  if (from.startsWith("file:")) {
    requireInProject(path, from.slice("file:".length));
    return true;
  }
  return typeof integrity === "string" && INTEGRITY.test(integrity);
}

function requireInProject(path: string, place: string): void {
  const full = posix.normalize(place);
  if (posix.isAbsolute(full) || full === ".." || full.startsWith("../"))
    throw new BuildFailure(
      `package-lock.json: ${path} leads out of the project.`,
      "Only files below the folder of fnctl.yaml are deployed.",
    );
}

function parse(text: string): Entry {
  try {
    const value: unknown = JSON.parse(text.replace(/^\ufeff/, ""));
    if (typeof value === "object" && value !== null) return value as Entry;
  } catch (error) {
    throw new BuildFailure(`package-lock.json is not valid JSON: ${(error as Error).message}`);
  }
  throw new BuildFailure("package-lock.json does not hold an object.");
}

const entriesOf = (value: unknown): [string, Entry][] =>
  Object.entries(typeof value === "object" && value !== null ? value : {}).map(([name, entry]) => [
    name,
    typeof entry === "object" && entry !== null ? (entry as Entry) : {},
  ]);
