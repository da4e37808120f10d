// One logical line of a requirements file (pip's format, PEP 508), told apart. Pure. uv never reads a line that the user wrote: what is known
// here is written anew, and anything else is refused, so that no option and no path can mean to uv what it did not mean here.
import { BuildFailure } from "./build-failure.ts";
import { EXTRAS, NAME, extrasOf, parsePlace, shown, type Refuse } from "./requirement-place.ts";

/** Where a line stands, as the owner is told. */
export interface Place {
  file: string;
  /** Absent where the owner never saw the line. */
  line?: number;
}
export type RequirementLine =
  /** `text`: the line for uv. */
  | { kind: "package"; name: string; extras: string[]; text: string; hashed: boolean }
  /** `head` and `tail`: of the line for uv, around the wheel's address. */
  | { kind: "wheel"; path: string; head: string; tail: string; hashed: boolean }
  | { kind: "folder"; path: string; extras: string[] }
  | { kind: "file"; of: "requirements" | "constraints"; path: string }
  | { kind: "hashes" }
  | { kind: "nothing" };

const CLAUSE = "(?:===|==|~=|!=|<=|>=|<|>) ?[A-Za-z0-9][A-Za-z0-9._*+!-]*";
const VERSIONS = `${CLAUSE}(?: ?, ?${CLAUSE})* ?,?`;
const NAMED = new RegExp(`^(${NAME}) ?(${EXTRAS})? ?(${VERSIONS}|\\( ?${VERSIONS} ?\\))?$`);
const AT_PLACE = new RegExp(`^(${NAME}) ?(${EXTRAS})? ?@ ?(\\S.*)$`);
const MARKER = /^[A-Za-z0-9_."'()<>=!~ ,+*-]+$/;
const HASH = /^--hash[= ](sha(?:256|384|512):[0-9a-fA-F]+)$/;
const INDEX_OPTIONS = new Set(["-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host"]);
/** All packages come as wheels anyway. */
const MEANINGLESS = new Set(["--only-binary", "--prefer-binary"]);
const READ_OPTIONS = "Remove it: -r, -c, -e, --hash, --require-hashes, --only-binary and --prefer-binary are read, and nothing else.";

const LIKE_A_PATH = /^(?:[\w.-]*|[^ ]*\/[^ ]*|\.{0,2}\/.*)$/;

/** Names of the same package are the same string (PEP 503). */
export const normalName = (name: string): string => name.toLowerCase().replace(/[-_.]+/g, "-");

export const refuseAt =
  ({ file, line }: Place): Refuse =>
  (why, hint) => {
    throw new BuildFailure(`${file}${line === undefined ? "" : `:${line}`}: ${why}`, hint);
  };

export function parseRequirementLine(written: string, place: Place): RequirementLine {
  const refuse = refuseAt(place);
  const text = written.trim().replace(/\s+/g, " ");
  if (text.includes("${")) refuse("variables are not replaced here; write the value itself.");
  return text.startsWith("-") ? parseOption(text, refuse) : parseRequirement(text, refuse);
}

function parseOption(text: string, refuse: Refuse): RequirementLine {
  const [, name = "", rest = ""] = /^(-[A-Za-z]|--[^ =]*)[ =]?(.*)$/.exec(text) ?? [];
  const value = rest.trim().replace(/^(["'])(.*)\1$/, "$2");
  if (INDEX_OPTIONS.has(name))
    refuse(`${name} names a package index of its own.`, `Remove ${name}: packages come from the index of this platform.`);
  if (name === "--require-hashes") return { kind: "hashes" };
  if (MEANINGLESS.has(name)) return { kind: "nothing" };
  if (name === "-r" || name === "--requirement") return { kind: "file", of: "requirements", path: value };
  if (name === "-c" || name === "--constraint") return { kind: "file", of: "constraints", path: value };
  if (name === "-e" || name === "--editable") return placed(value, "", [], refuse);
  return refuse(`${shown(name === "" ? text : name)} is not an option that is read here.`, READ_OPTIONS);
}

function parseRequirement(text: string, refuse: Refuse): RequirementLine {
  const [whole = "", ...options] = text.split(/ (?=--)/);
  const hashes = options.map((option) => HASH.exec(option)?.[1] ?? refuse(`${shown(option)} is not read here.`, READ_OPTIONS));
  const mark = whole.indexOf(";");
  const requirement = (mark === -1 ? whole : whole.slice(0, mark)).trim();
  const marker = mark === -1 ? "" : whole.slice(mark + 1).trim();
  if (mark !== -1 && !MARKER.test(marker)) refuse(`${shown(marker)} is not a condition (PEP 508).`);
  const condition = mark === -1 ? "" : ` ; ${marker}`;

  const named = requirement.endsWith(".whl") ? null : NAMED.exec(requirement);
  if (named === null) return placed(requirement, condition, hashes, refuse);
  const [, name = "", extras = "", versions = ""] = named;
  const hashed = hashes.length > 0;
  const line = `${name}${extras}${versions.replaceAll(" ", "")}${condition}${listed(hashes)}`;
  return { kind: "package", name, extras: extrasOf(extras), text: line, hashed };
}

/** `[NAME[EXTRAS] @] PLACE`. */
function placed(text: string, condition: string, hashes: readonly string[], refuse: Refuse): RequirementLine {
  const [, name, extras, address] = AT_PLACE.exec(text) ?? [];
  const place = parsePlace(address ?? text, refuse);
  const hashed = hashes.length > 0;
  if (place.kind !== "folder") {
    const head = `${name ?? place.name}${extras ?? place.extras}`;
    const tail = `${condition}${listed(hashes)}`;
    if (place.kind === "wheel") return { kind: "wheel", path: place.path, head, tail, hashed };
    return { kind: "package", name: name ?? place.name, extras: [], text: `${head} @ ${place.url}${tail}`, hashed };
  }
  // Whatever is neither a package nor looks like a path was mistyped.
  if (name === undefined && !LIKE_A_PATH.test(place.path)) refuse(`${shown(text)} is not understood.`);
  if (condition !== "" || hashed) refuse("a folder of the project takes no condition and no hash.");
  return extras === undefined ? place : { ...place, extras: extrasOf(extras) };
}

const listed = (hashes: readonly string[]): string => hashes.map((hash) => ` --hash=${hash}`).join("");
